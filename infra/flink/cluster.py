"""A standalone Flink cluster, Beam's job server and a pool of Python workers, on the loopback."""

import json
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.flink import java
from infra.processes import HOST, Process, check_free, free_port, listens

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ports:
    """Where each server answers."""

    job_server: int = field(default_factory=free_port)
    rest: int = field(default_factory=free_port)
    workers: int = field(default_factory=free_port)
    artifacts: int = field(default_factory=free_port)
    rpc: int = field(default_factory=free_port)


@dataclass
class Cluster:
    """One job manager, some task managers of one slot each, a job server, a pool of workers.

    Logs and configuration live in `folder`; `settings` add to Flink's configuration. Every part
    may be killed and started again; it is then found where it was.
    """

    folder: Path
    ports: Ports = field(default_factory=Ports)
    size: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)
    job_manager: Process = field(init=False)
    task_managers: list[Process] = field(init=False)
    job_server: Process = field(init=False)
    workers: Process = field(init=False)

    def __post_init__(self) -> None:
        self.job_manager = Process("Flink's job manager", self.folder / "job-manager.log")
        self.job_server = Process("Beam's job server", self.folder / "job-server.log")
        here = {"PYTHONPATH": str(ROOT)}
        self.workers = Process("the pool of workers", self.folder / "workers.log", here)
        self.task_managers = [
            Process(f"task manager {number}", self.folder / f"task-manager-{number}.log")
            for number in range(self.size)
        ]

    @property
    def endpoint(self) -> str:
        """Where pipelines are handed in."""
        return f"{HOST}:{self.ports.job_server}"

    @property
    def pool(self) -> str:
        """Where task managers find Python workers."""
        return f"{HOST}:{self.ports.workers}"

    @property
    def dashboard(self) -> str:
        """Where a person looks at jobs, and machines ask."""
        return f"http://{HOST}:{self.ports.rest}"

    def start(self, patience_s: float = 90.0) -> None:
        """Start all parts and wait until each answers and the task managers have joined.

        Raises Missing without Java or Maven, UserError for a taken port or, with the end of the
        log, for a part that does not answer.
        """
        ports = self.ports
        for port in (ports.job_server, ports.rest, ports.workers, ports.artifacts, ports.rpc):
            check_free(port)
        java.configure(self.folder / "conf", {**self._settings(), **self.settings})
        self._launch()
        self._wait_for_workers(patience_s)
        self._wait_for_job_manager(patience_s)
        self.job_server.wait_for(lambda: listens(ports.job_server), self.endpoint, patience_s)
        self.task_managers[-1].wait_for(self._is_complete, self.dashboard, patience_s)

    def start_workers(self, patience_s: float = 60.0) -> None:
        """Start the pool of workers anew."""
        self._launch_workers()
        self._wait_for_workers(patience_s)

    def start_job_manager(self, patience_s: float = 60.0) -> None:
        """Start the job manager anew."""
        self.job_manager.start(java.job_manager(self.folder / "conf"))
        self._wait_for_job_manager(patience_s)

    def start_task_manager(self, number: int) -> None:
        """Start one task manager; it joins when it is ready."""
        self.task_managers[number].start(java.task_manager(self.folder / "conf"))

    def _launch(self) -> None:
        """Start all parts at once: each finds the others when they are there."""
        ports = self.ports
        self._launch_workers()
        self.job_manager.start(java.job_manager(self.folder / "conf"))
        for number in range(self.size):
            self.start_task_manager(number)
        self.job_server.start(
            java.job_server(
                ports.rest, ports.job_server, ports.artifacts, self.folder / "artifacts"
            )
        )

    def _launch_workers(self) -> None:
        words = ["-m", "pipelines.drivers.flink.workers", "--port", str(self.ports.workers)]
        self.workers.start([sys.executable, *words])

    def _wait_for_workers(self, patience_s: float) -> None:
        self.workers.wait_for(lambda: listens(self.ports.workers), self.pool, patience_s)

    def _wait_for_job_manager(self, patience_s: float) -> None:
        self.job_manager.wait_for(self._answers, self.dashboard, patience_s)

    def stop(self) -> None:
        """End all parts."""
        for part in (self.job_server, *self.task_managers, self.job_manager, self.workers):
            part.stop(5.0)

    def ask(self, path: str, method: str = "GET") -> Any:
        """What the job manager says to a request of Flink's REST interface."""
        request = urllib.request.Request(self.dashboard + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = answer.read()
        return json.loads(told) if told else None

    def _answers(self) -> bool:
        with suppress(OSError):
            return "taskmanagers" in self.ask("/overview")
        return False

    def _is_complete(self) -> bool:
        with suppress(OSError):
            return bool(self.ask("/overview")["slots-total"] >= self.size)
        return False

    def _settings(self) -> dict[str, str]:
        """Small, and quick to see that a part is gone."""
        scratch = self.folder / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        return {
            "jobmanager.rpc.address": HOST,
            "jobmanager.rpc.port": str(self.ports.rpc),
            "jobmanager.bind-host": HOST,
            "rest.address": HOST,
            "rest.bind-address": HOST,
            "rest.port": str(self.ports.rest),
            "taskmanager.host": HOST,
            "taskmanager.bind-host": HOST,
            "taskmanager.numberOfTaskSlots": "1",
            "io.tmp.dirs": str(scratch),
            "heartbeat.interval": "1000",
            "heartbeat.timeout": "8000",
            "web.submit.enable": "false",
            "classloader.resolve-order": "parent-first",
        }


@contextmanager
def local_flink(
    folder: Path, ports: Ports | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A cluster in `folder`, stopped on the way out."""
    cluster = Cluster(folder, ports or Ports(), settings=settings or {})
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
