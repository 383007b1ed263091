"""The local broker: it comes up, keeps what it has through a kill, and leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from infra.jars import cache, fetched
from infra.kafka import Broker, Missing, local_kafka
from schemas.errors import UserError
from tests.kafka_server import REQUIRED, broker_in, skipped_without_kafka

ROOT = Path(__file__).parents[2]
LONG_AGO_MS = 1_000_000_000_000


def test_records_with_old_time_stamps_outlive_a_kill(tmp_path: Path) -> None:
    with broker_in(tmp_path) as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.address)
        admin.create_topics({"old": {"num_partitions": 1}}, wait_for_metadata=True)
        admin.close()
        with KafkaProducer(bootstrap_servers=broker.address) as producer:
            producer.send("old", b"first", timestamp_ms=LONG_AGO_MS).get(30)
        broker.kill()
        with pytest.raises(KafkaError):
            KafkaConsumer(bootstrap_servers=broker.address, bootstrap_timeout_ms=500)
        broker.start()
        consumer = KafkaConsumer(bootstrap_servers=broker.address)
        partition = TopicPartition("old", 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        (record,) = consumer.poll(30_000)[partition]
        consumer.close()
        assert (record.value, record.timestamp) == (b"first", LONG_AGO_MS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_broker_ends_with_a_process_that_is_killed(kafka: Broker, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from infra.kafka import local_kafka\n"
        "with local_kafka(Path(sys.argv[1])) as broker:\n"
        "    print(broker.pid, flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _lives(child)
        parent.kill()
    deadline = time.monotonic() + 30
    while _lives(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_command_runs_a_broker_until_it_is_asked_to_stop(kafka: Broker) -> None:
    command = [sys.executable, "-m", "infra.kafka", "--port"]
    taken = subprocess.run(
        [*command, str(kafka.port)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert taken.returncode == 1
    assert taken.stderr.startswith(f"infra.kafka: {kafka.address}: expected a free port")
    assert "Traceback" not in taken.stderr
    with subprocess.Popen([*command, "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("Kafka answers at 127.0.0.1:")
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0


def test_without_java_a_test_is_skipped_unless_servers_are_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(REQUIRED, raising=False)
    with (
        pytest.raises(pytest.skip.Exception, match="needs a Kafka broker. .* Install"),
        broker_in(tmp_path),
    ):
        raise AssertionError("there is no broker")
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(Missing), skipped_without_kafka(), local_kafka(tmp_path):
        raise AssertionError("there is no broker")


def test_archives_are_cached_where_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_CACHE", str(tmp_path))
    assert cache() == tmp_path
    monkeypatch.delenv("MILLSTREAM_CACHE")
    assert cache() == Path.home() / ".cache" / "millstream"


def test_maven_s_complaint_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka: Broker
) -> None:
    monkeypatch.setenv("MILLSTREAM_CACHE", str(tmp_path / "cache"))
    pom = tmp_path / "odd" / "pom.xml"
    pom.parent.mkdir()
    pom.write_text("<project>this is no pom</project>")
    with pytest.raises(UserError, match=r"odd/pom\.xml: expected Maven to fetch .* received: "):
        fetched(pom)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
