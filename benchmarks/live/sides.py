"""Both runners as one sees them from outside: read all there is, follow, end."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from benchmarks.on_flink.servers import Servers
from pipelines.drivers.direct import DirectSettings
from pipelines.drivers.direct import run as run_direct
from pipelines.drivers.flink import FlinkSettings
from pipelines.drivers.flink import run as run_flink
from schemas.spec import Spec

SHARDS = 16
ENDS_WITHIN_S = 300.0

_SPAWN = multiprocessing.get_context("spawn")


class Side(Protocol):
    """A runner over the topics of a broker."""

    @property
    def address(self) -> str:
        """Of the broker."""

    def through(self, spec: Spec, out: Path) -> float:
        """Read all that the topics hold; the seconds that it worked."""

    def follow(self, spec: Spec, out: Path) -> "Following":
        """Follow the topics in a process of its own."""


@dataclass
class Following:
    """A run that goes on until it is ended; `begun` tells when it began to work."""

    process: BaseProcess
    begun: Callable[[], float]

    @property
    def begun_s(self) -> float:
        """By the machine's clock of the day."""
        return self.begun()

    def check(self) -> None:
        """Ends the benchmark if the run has ended by itself."""
        if not self.process.is_alive():
            raise SystemExit("expected a run that goes on, received one that has ended")

    def end(self) -> None:
        """As an operator does, and wait for it."""
        self.process.terminate()
        self.process.join(ENDS_WITHIN_S)
        if self.process.exitcode != 0:
            self.process.kill()
            raise SystemExit(f"expected a run to end in order, received {self.process.exitcode}")


@dataclass(frozen=True)
class Direct:
    """The direct driver, of one core or as many as it finds."""

    address: str

    def through(self, spec: Spec, out: Path) -> float:
        """See `Side.through`."""
        begun_s = time.monotonic()
        run_direct(self._settings(spec, out, final=True))
        return time.monotonic() - begun_s

    def follow(self, spec: Spec, out: Path) -> Following:
        """See `Side.follow`."""
        begun = _SPAWN.Value("d", 0.0)
        settings = self._settings(spec, out, follow=True)
        process = _SPAWN.Process(target=_follow_direct, args=(settings, begun), daemon=True)
        process.start()
        return Following(process, lambda: begun.value)

    def _settings(self, spec: Spec, out: Path, **mode: bool) -> DirectSettings:
        source = f"kafka://{self.address}"
        return DirectSettings(spec, source, out / "windows", out / "state", shards=SHARDS, **mode)


def _follow_direct(settings: DirectSettings, begun: Any) -> None:
    begun.value = time.time()
    run_direct(settings)


@dataclass(frozen=True)
class Flink:
    """A job on a cluster."""

    servers: Servers
    parallelism: int = 2

    @property
    def address(self) -> str:
        """See `Side.address`."""
        return self.servers.broker.address

    def through(self, spec: Spec, out: Path) -> float:
        """See `Side.through`."""
        settings = self._settings(spec, out, final=True)
        run_flink(settings)
        return self.servers.running_s(settings.job_name)

    def follow(self, spec: Spec, out: Path) -> Following:
        """See `Side.follow`."""
        settings = self._settings(spec, out)
        process = _SPAWN.Process(target=run_flink, args=(settings,), daemon=True)
        process.start()
        return Following(process, lambda: time.time() - self.servers.running_s(settings.job_name))

    def _settings(self, spec: Spec, out: Path, **mode: bool) -> FlinkSettings:
        return self.servers.settings(spec, out, shards=SHARDS, parallelism=self.parallelism, **mode)
