"""Servers of others as processes of ours: on free ports, with a log, gone when we are gone."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import UserError

HOST = "127.0.0.1"

_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def check_free(port: int) -> None:
    """Another server on the port would answer in place of ours. Raises UserError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"{HOST}:{port}: expected a free port, received: {error.strerror}. Stop what "
                "listens there or choose another port."
            ) from error


def listens(port: int) -> bool:
    """Whether something takes connections on a port of this machine."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass
class Process:
    """One server process, its children in its process group, what it says in `log`."""

    name: str
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str]) -> None:
        """Start it; it ends with the thread that started it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  it calls one function of the C library
            )

    @property
    def pid(self) -> int | None:
        """Its number while it has one."""
        return None if self._process is None else self._process.pid

    def wait_for(self, answers: Callable[[], bool], where: str, patience_s: float) -> None:
        """Wait until it answers. Raises UserError with the end of the log if it does not."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and self.lives():
            if answers():
                return
            time.sleep(0.1)
        self.kill()
        raise UserError(
            f"{self.log}: expected {self.name} to answer at {where} within {patience_s:.0f} s, "
            f"received no answer. Its log ends: {self._log_end()}"
        )

    def lives(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self, patience_s: float = 20.0) -> None:
        """Ask it to end; kill it if it does not."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
            self.kill()

    def ask(self) -> None:
        """Send it SIGTERM, and do not wait."""
        if self._process is not None:
            self._process.terminate()

    def exit_code(self, patience_s: float) -> int:
        """Wait for its end. Raises UserError, with the end of its log, if it goes on for longer."""
        if self._process is None:
            raise UserError(f"{self.log}: expected {self.name} to run, received nobody")
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise UserError(
                f"{self.log}: expected {self.name} to end within {patience_s:.0f} s, received no "
                f"end. Its log ends: {self._log_end()}"
            ) from None

    def kill(self) -> None:
        """End it and its children at once, as a machine that fails does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _log_end(self, lines: int = 5) -> str:
        log = self.log.read_text(encoding="utf-8", errors="replace")
        return " | ".join(log.splitlines()[-lines:])


def _die_with_parent() -> None:
    """Have Linux end the server with the thread that started it, even if that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
