"""One Kafka broker that is its own controller (KRaft), on free ports of the loopback."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from infra.jars import fetched, program
from infra.processes import HOST, Process, check_free, free_port, listens
from schemas.errors import UserError

POM = Path(__file__).with_name("pom.xml")

_CLUSTER = "bWlsbHN0cmVhbS1sb2NhbA"
"""The id of every cluster started here: 16 bytes in base64."""

_JVM = ["-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""Small and quick to start; a real broker wants other flags."""


@dataclass
class Broker:
    """A broker whose files and log live in `folder`; `settings` add to its properties.

    It keeps its ports when it is started again, so that clients find it where it was.
    """

    folder: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    _controller: int = field(default_factory=free_port)
    _process: Process = field(init=False)

    def __post_init__(self) -> None:
        self._process = Process("a Kafka broker", self.folder / "server.log")

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"{HOST}:{self.port}"

    def start(self, patience_s: float = 60.0) -> None:
        """Start and wait for an answer about the cluster.

        Raises Missing without Java or Maven, UserError if its port is taken or, with the end of
        the log, if no answer comes.
        """
        check_free(self.port)
        self._process.start(self.command())
        self._process.wait_for(lambda: answers(self.address), self.address, patience_s)

    def command(self) -> list[str]:
        """What starts it; its folder is made ready first, if it is new."""
        if not (self.folder / "data").exists():
            self._format()
        return self._java("kafka.Kafka", self._properties())

    @property
    def pid(self) -> int | None:
        """The number of its process, while it has one."""
        return self._process.pid

    def stop(self) -> None:
        """Ask it to end; kill it if it does not."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once, as a machine that fails does."""
        self._process.kill()

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}\n" for name, value in self._settings().items()]
        self._properties().write_text("".join(lines), encoding="utf-8")
        command = self._java("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c")
        command.append(str(self._properties()))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"{self.folder}: expected Kafka to format it, received: {done.stderr}")

    def _java(self, *words: str | Path) -> list[str]:
        java = program("java", "Java 17 or newer")
        return [java, *_JVM, "-cp", f"{fetched(POM)}/*", *map(str, words)]

    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _settings(self) -> dict[str, str]:
        """Records stay however old their time stamps are, and topics are made by hand only."""
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self._controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self._controller}",
            "log.dirs": str(self.folder / "data"),
            "log.retention.ms": "-1",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **self.settings,
        }


@contextmanager
def local_kafka(
    folder: Path, port: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Broker]:
    """A broker in `folder`, stopped on the way out."""
    broker = Broker(folder, port or free_port(), settings or {})
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def answers(address: str) -> bool:
    """Whether a listening broker also tells about its cluster."""
    if not listens(int(address.rpartition(":")[2])):
        return False
    try:
        client = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=5_000)
    except (OSError, KafkaError):
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()
