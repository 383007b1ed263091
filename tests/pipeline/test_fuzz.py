"""Messages of which every third is damaged: nothing breaks, and each is accounted for."""

import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import pytest
from kafka import KafkaProducer

from infra.kafka import Broker
from pipelines.dead_letters import EVENT_REASONS, MEMORY_REASONS, MESSAGE_REASONS
from schemas.spec import Spec
from tests.pipeline.damage import STREAMS, Message, healthy, with_damage
from tests.pipeline.kafka_world import PARTITIONS, letters_in, prepared
from tests.pipeline.small_world import small_spec
from tests.pipeline.test_kafka_faults import command, spec_in
from tests.soak import share_of

MEMORY_MB = 2_000
"""More than a run may take, whatever it reads: libraries, and an epoch's messages several times."""


@dataclass(frozen=True)
class Ran:
    """What a run counted, and what it took."""

    totals: Counter[str]
    cpu_s: float
    peak_mb: float

    def by_stream(self) -> Counter[str]:
        """Messages by stream: accepted, or refused for what they are."""
        told: Counter[str] = Counter()
        for name, number in self.totals.items():
            kind, _, rest = name.partition("/")
            stream, _, reason = rest.partition("/")
            if kind == "accepted" or (kind == "dead" and reason not in MEMORY_REASONS):
                told[stream] += number
        return told


def publish(broker: Broker, spec: Spec, messages: Iterable[Message]) -> Counter[str]:
    """Send them, dealt out to partitions; how many by stream."""
    sent: Counter[str] = Counter()
    size = {"max_request_size": 4_000_000, "linger_ms": 50, "batch_size": 256_000}
    with KafkaProducer(bootstrap_servers=broker.address, **size) as producer:
        waiting = []
        for number, (stream, value) in enumerate(messages):
            topic = spec.streams[stream].topic
            waiting.append(producer.send(topic, value, key=b"k", partition=number % PARTITIONS))
            sent[stream] += 1
            if len(waiting) == 5_000:
                settle(waiting)
        settle(waiting)
    return sent


def settle(waiting: list) -> None:
    for one in waiting:
        one.get(60)
    waiting.clear()


def ran(broker: Broker, folder: Path, *words: str) -> Ran:
    """Read all there is in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command(broker, "--final", "--json", *words)[3:]],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    peak_kb = int(done.stderr.rpartition("peak ")[2])
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(Counter(json.loads(done.stdout)["totals"]), cpu_s, peak_kb / 1_024)


MEASURED = """
import sys
from pathlib import Path
from millstream.cli import main
code = main(sys.argv[1:])
lines = Path("/proc/self/status").read_text().splitlines()
print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""
"""Not `ru_maxrss`: what a process is started from counts there as well."""


def fuzzed(broker: Broker, folder: Path, count: int, seed: int, *words: str) -> Ran:
    """Send so many messages with damage, run, and account for each."""
    spec = spec_in(folder, f"fuzz{seed}")
    prepared(broker, spec)
    sent = publish(broker, spec, some(with_damage(healthy(spec, seed), seed), count))
    told = ran(broker, folder, *words)
    assert told.by_stream() == sent and sent.total() == count
    assert told.peak_mb < MEMORY_MB
    return told


def some(messages: Iterator[Message], count: int) -> Iterator[Message]:
    return islice(messages, count)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_thousand_messages_every_third_damaged(kafka: Broker, tmp_path: Path) -> None:
    told = fuzzed(kafka, tmp_path, 20_000, 1)
    dead = Counter({name: n for name, n in told.totals.items() if name.startswith("dead/")})
    assert letters_in(tmp_path) == dead
    assert 4_000 < dead.total() < 10_000
    assert {name.split("/")[1] for name in dead} == set(STREAMS)
    seen = {name.rpartition("/")[2] for name in dead}
    assert seen <= {*EVENT_REASONS, *MEMORY_REASONS, *MESSAGE_REASONS}
    assert len(seen & {*EVENT_REASONS, *MESSAGE_REASONS}) >= 14
    assert told.totals["windows"] > 0 and told.totals["divergent"] == 0


@pytest.mark.soak
def test_a_million_messages_every_third_damaged(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = share_of(1_000_000)
    told = fuzzed(kafka, tmp_path, messages, 2)
    dead = sum(n for name, n in told.totals.items() if name.startswith("dead/"))
    with capsys.disabled():
        print(f"\n{messages:,} messages, {dead:,} dead letters, peak {told.peak_mb:,.0f} MB")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("figure", "longest"),
    [("damaged_messages_cost", sys.maxsize), ("damaged_messages_up_to_4kb_cost", 4_000)],
)
def test_damaged_messages_cost_no_more_than_ten_healthy_ones(
    figure: str, longest: int, kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many messages, a third of them damaged, against all of them healthy.

    What a run takes that reads nothing is taken off. With giants there are ten times the bytes.
    """
    count, spec = share_of(150_000, least=15_000), small_spec()
    parts = {
        "damaged": list(some(with_damage(healthy(spec, 3), 3, longest), count)),
        "healthy": list(some(healthy(spec, 3), count)),
        "nothing": [],
    }
    for name, messages in parts.items():
        own = spec_in(tmp_path / name, f"{figure}.{name}")
        prepared(kafka, own)
        publish(kafka, own, messages)
    costs = []
    for turn in range(3):
        anew = ("--windows", f"windows{turn}", "--state", f"state{turn}")
        cpu_s = {name: ran(kafka, tmp_path / name, *anew).cpu_s for name in parts}
        costs.append((cpu_s["damaged"] - cpu_s["nothing"]) / (cpu_s["healthy"] - cpu_s["nothing"]))
    cost = median(costs)
    one = 3 * cost - 2
    with capsys.disabled():
        print(f"\na damaged message costs as much as {one:.1f} healthy ones")
        verdict = "ok" if cost <= 1.2 else "short"
        print(f"FIGURE {figure} {cost:.2f} <=1.20 {verdict}")
    assert one <= 10
