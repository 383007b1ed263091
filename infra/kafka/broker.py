"""One Kafka broker that is its own controller (KRaft), on free ports of the loopback."""

import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from infra.kafka.jars import fetched, program
from schemas.errors import UserError

HOST = "127.0.0.1"
POM = Path(__file__).with_name("pom.xml")

_CLUSTER = "bWlsbHN0cmVhbS1sb2NhbA"
"""The id of every cluster started here: 16 bytes in base64."""

_JVM = ["-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""Small and quick to start; a real broker wants other flags."""

_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Broker:
    """A broker whose files and log live in `folder`; `settings` add to its properties.

    It keeps its ports when it is started again, so that clients find it where it was.
    """

    folder: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    _controller: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"{HOST}:{self.port}"

    def start(self, patience_s: float = 60.0) -> None:
        """Start and wait for an answer about the cluster.

        Raises Missing without Java or Maven, UserError if its port is taken or, with the end of
        the log, if no answer comes.
        """
        _check_free(self.port)
        if not (self.folder / "data").exists():
            self._format()
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", self._properties()),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  it calls one function of the C library
            )
        self._wait(patience_s)

    def stop(self, patience_s: float = 20.0) -> None:
        """Ask it to end; kill it if it does not."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
            self.kill()

    def kill(self) -> None:
        """End it at once, as a machine that fails does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

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

    def _wait(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            if _answers(self.address):
                return
            time.sleep(0.1)
        self.kill()
        raise UserError(
            f"{self.folder}: expected a Kafka broker to answer at {self.address} within "
            f"{patience_s:.0f} s, received no answer. Its log ends: {self._log_end()}"
        )

    def _log_end(self, lines: int = 5) -> str:
        log = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
        return " | ".join(log.splitlines()[-lines:])


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


def _check_free(port: int) -> None:
    """Another broker on the port would answer in place of ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"{HOST}:{port}: expected a free port, received: {error.strerror}. Stop what "
                "listens there or choose another port."
            ) from error


def _answers(address: str) -> bool:
    """Whether a listening broker also tells about its cluster."""
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        client = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=5_000)
    except (OSError, KafkaError):
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()


def _die_with_parent() -> None:
    """Have Linux end the broker with the thread that started it, even if that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
