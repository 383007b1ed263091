"""`replay --kafka` and `simulate --kafka` on a real broker, and the pipeline behind them."""

import io
import json
import re
import time
from pathlib import Path
from uuid import uuid4

import fastavro
import polars as pl
import pytest
import xxhash
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource
from kafka.consumer.fetcher import ConsumerRecord

from infra.kafka import Broker
from millstream import shipped
from millstream.cli import main
from pipelines.publish import publisher
from schemas.spec import load
from schemas.windows import WindowStore

ROOT = Path(__file__).parents[2]
RANKLENS = ROOT / "examples" / "ranklens"


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    """RankLens' spec with topics of its own."""
    return own_topics("ranklens", tmp_path)


def own_topics(name: str, folder: Path) -> Path:
    text = (ROOT / "schemas" / "specs" / f"{name}.toml").read_text()
    prefix = uuid4().hex[:8]
    stream = re.compile(r'^(\w+) = \{ kind = "(exposure|click|conversion|item|retraction)"', re.M)
    text, count = stream.subn(rf'\g<0>, topic = "{prefix}.\1"', text)
    assert count == len(load(ROOT / "schemas" / "specs" / f"{name}.toml").streams)
    file = folder / f"{name}.toml"
    file.write_text(text)
    return file


def millstream(*words: str | Path) -> None:
    assert main([str(word) for word in words]) == 0


def windows(spec: Path, source: str | Path, out: Path) -> dict[int, str]:
    """Digests of all windows of a complete run."""
    millstream("pipeline", "--spec", spec, "--source", source, "--windows", out, "--shards", "3",
               "--final")  # fmt: skip
    return {one.window_start_ms: one.digest for one in WindowStore(out).windows()}


def records(broker: Broker, topic: str) -> list[ConsumerRecord]:
    """All that a topic holds, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
    keys = [TopicPartition(topic, one) for one in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(keys)
    left, found = sum(consumer.end_offsets(keys).values()), []
    while len(found) < left:
        for some in consumer.poll(1_000).values():
            found += some
    consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))


FORMS = {
    "json": ["--format", "json"],
    "avro": ["--format", "avro", "--partitions", "1"],
    "packs": ["--pack", "300", "--partitions", "3"],
}


@pytest.fixture(scope="module")
def from_files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The windows of the replayed files."""
    folder = tmp_path_factory.mktemp("files")
    millstream("replay", "ranklens", "--source", RANKLENS, "--out", folder / "events")
    spec = ROOT / "schemas" / "specs" / "ranklens.toml"
    found = windows(spec, folder / "events", folder / "windows")
    assert len(found) > 3
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_replay_through_kafka_gives_the_windows_of_its_files(
    kafka: Broker, spec_file: Path, tmp_path: Path, form: str, from_files: dict[int, str]
) -> None:
    words = ("replay", "ranklens", "--source", RANKLENS, "--spec", spec_file)
    millstream(*words, "--kafka", kafka.address, *FORMS[form])
    assert windows(spec_file, f"kafka://{kafka.address}", tmp_path / "kafka") == from_files


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kuairand_through_kafka_gives_the_windows_of_its_files(
    kafka: Broker, tmp_path: Path
) -> None:
    spec = own_topics("kuairand", tmp_path)
    words = ("replay", "kuairand", "--source", ROOT / "examples" / "kuairand", "--spec", spec)
    millstream(*words, "--out", tmp_path / "events")
    millstream(*words, "--kafka", kafka.address, "--pack", "1000", "--partitions", "2")
    from_files = windows(spec, tmp_path / "events", tmp_path / "files")
    assert windows(spec, f"kafka://{kafka.address}", tmp_path / "kafka") == from_files
    assert len(from_files) == 57


def test_messages_carry_key_partition_and_event_time(kafka: Broker, spec_file: Path) -> None:
    millstream("replay", "ranklens", "--source", RANKLENS, "--spec", spec_file,
               "--kafka", kafka.address, "--partitions", "5")  # fmt: skip
    spec = load(spec_file)
    for stream, key in (("click", "user_id"), ("item", "item_id")):
        found = records(kafka, spec.streams[stream].topic)
        assert len({record.partition for record in found}) == 5
        for record in found:
            event = json.loads(record.value)
            assert record.key.decode() == event[key]
            assert record.timestamp == event["time_ms"]
            assert record.partition == xxhash.xxh3_64_intdigest(event[key].encode()) % 5
        for one in range(5):
            times = [record.timestamp for record in found if record.partition == one]
            assert times == sorted(times)
    admin = KafkaAdminClient(bootstrap_servers=kafka.address)
    told = admin.describe_configs([ConfigResource("TOPIC", spec.streams["click"].topic)])
    admin.close()
    assert re.search(r"'retention\.ms':.*?'-1'", str(told))


def test_packs_hold_events_of_one_partition_and_the_newest_time(
    kafka: Broker, spec_file: Path
) -> None:
    millstream("replay", "ranklens", "--source", RANKLENS, "--spec", spec_file,
               "--kafka", kafka.address, "--pack", "7")  # fmt: skip
    topic = load(spec_file).streams["click"].topic
    users: dict[int, set[str]] = {}
    sizes = []
    for record in records(kafka, topic):
        rows = list(fastavro.reader(io.BytesIO(record.value)))
        sizes.append(len(rows))
        assert record.key is None
        assert record.timestamp == max(row["time_ms"] for row in rows)
        users.setdefault(record.partition, set()).update(row["user_id"] for row in rows)
    assert max(sizes) == 7
    assert all(
        xxhash.xxh3_64_intdigest(u.encode()) % 4 == p for p, some in users.items() for u in some
    )


def test_a_world_through_kafka_gives_the_windows_of_its_files(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = own_topics("simulated", tmp_path)
    monkeypatch.setattr(shipped, "spec_file", lambda name: spec)
    words = ("simulate", "--users", "40", "--days", "1")
    millstream(*words, "--out", tmp_path / "w")
    millstream(*words, "--kafka", kafka.address, "--out", tmp_path / "k", "--pack", "100")
    assert not (tmp_path / "k" / "events").exists()
    for part in ("requests", "feedback"):
        one, other = (pl.read_parquet(tmp_path / way / "truth" / part) for way in ("w", "k"))
        assert one.equals(other)
    from_files = windows(spec, tmp_path / "w" / "events", tmp_path / "files")
    assert windows(spec, f"kafka://{kafka.address}", tmp_path / "kafka") == from_files


def test_a_paced_replay_takes_its_time(kafka: Broker, spec_file: Path) -> None:
    started = time.monotonic()
    words = ("replay", "ranklens", "--source", RANKLENS, "--spec", spec_file)
    millstream(*words, "--kafka", kafka.address, "--pack", "9", "--speed", "100000000x")
    times = [r.timestamp for r in records(kafka, load(spec_file).streams["exposure"].topic)]
    assert time.monotonic() - started > (max(times) - min(times)) / 1e8 / 1_000


def test_a_message_that_is_too_large_is_told_in_one_paragraph(
    kafka: Broker, spec_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", "ranklens", "--source", RANKLENS, "--spec", spec_file, "--kafka"]
    code = main([*map(str, words), kafka.address, "--pack", "1000000", "--partitions", "1"])
    err = capsys.readouterr().err
    told = [line for line in err.splitlines() if line.startswith("millstream: ")]
    assert code == 1
    assert "expected the cluster to take events of stream" in told[0]
    assert "a smaller --pack helps" in told[0]
    assert "Traceback" not in err


def test_a_cluster_that_is_not_there_is_told_in_one_paragraph(
    spec_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "CONTACT_MS", 1_000)
    words = ["replay", "ranklens", "--source", RANKLENS, "--spec", spec_file, "--kafka"]
    assert main([*map(str, words), "127.0.0.1:1"]) == 1
    assert "127.0.0.1:1: expected the cluster to connect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "expected --out DIR or --kafka HOST:PORT, received neither"),
        (["--out", "x", "--pack", "3"], "--pack: expected with --kafka HOST:PORT only"),
        (["--out", "x", "--format", "json"], "--format: expected one of parquet, jsonl, avro"),
        (["--kafka", "a:1", "--format", "parquet"], "--format: expected one of json, avro"),
        (["--kafka", "a:1", "--format", "json", "--pack", "3"], "--pack: expected --format avro"),
        (["--kafka", "a:1", "--speed", "fast"], "expected a speed such as '1x' or '60x'"),
        (["--kafka", "a:1", "--pack", "0"], "expected a whole number of 1 or more"),
        (["--kafka", "a"], "expected kafka://HOST:PORT"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "ranklens", "--source", str(RANKLENS), *words]) != 0
    assert told in capsys.readouterr().err
