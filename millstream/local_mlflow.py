"""A real MLflow server on this machine, for the demo and for tests: one worker."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import UserError

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Stores:
    """Where a server keeps runs and versions, and where artifacts."""

    database: str
    """As SQLAlchemy reads it."""
    artifacts: str
    """A folder, or an address such as `s3://BUCKET/PATH`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the server needs to reach them."""

    @classmethod
    def within(cls, folder: Path) -> "Stores":
        """Files of one folder."""
        place = folder.resolve()
        return cls(f"sqlite:///{place}/mlflow.db", str(place / "artifacts"))


@contextmanager
def local_mlflow(
    folder: Path,
    port: int | None = None,
    attempts: int = 3,
    patience_s: float = 180.0,
    stores: Stores | None = None,
) -> Iterator[str]:
    """Start a server whose log and, without `stores`, all else live in `folder`; yield its address.

    Without a `port` a free one is taken, and another one if it is gone by the time the server
    binds it. The server and its workers are ended on the way out.
    Raises UserError with the end of the server's log if it does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = stores or Stores.within(folder)
    process, uri = _started(folder, chosen, port, attempts, patience_s)
    try:
        yield uri
    finally:
        _end(process)


def _started(
    folder: Path, stores: Stores, port: int | None, attempts: int, patience_s: float
) -> tuple[subprocess.Popen[bytes], str]:
    for _ in range(attempts):
        chosen = port or free_port()
        process = _spawn(folder, stores, chosen)
        uri = f"http://{HOST}:{chosen}"
        try:
            if _healthy(process, uri, patience_s):
                return process, uri
        except KeyboardInterrupt:
            _end(process)
            raise
        _end(process)
    raise UserError(
        f"{folder}: expected an MLflow server to answer at {HOST} within {patience_s:.0f} s, "
        f"received none in {attempts} attempts. Its log ends: {_log_end(folder)}"
    )


def free_port() -> int:
    """A port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def server_command(stores: Stores, port: int) -> list[str]:
    """What starts a server with one worker on a port of this machine."""
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--backend-store-uri", stores.database]
    command += ["--artifacts-destination", stores.artifacts]
    return [*command, "--host", HOST, "--port", str(port), "--workers", "1"]


def server_environment(stores: Stores) -> dict[str, str]:
    """What a server needs to find in its environment."""
    own = Path(sys.executable).parent
    return {
        "PATH": f"{own}{os.pathsep}{os.environ.get('PATH', '')}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **stores.environment,
    }


def _spawn(folder: Path, stores: Stores, port: int) -> subprocess.Popen[bytes]:
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            server_command(stores, port),
            stdout=log,
            stderr=log,
            env=os.environ | server_environment(stores),
            start_new_session=True,
        )


def _healthy(process: subprocess.Popen[bytes], uri: str, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and process.poll() is None:
        with (
            suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{uri}/health", timeout=2) as answer,
        ):
            if answer.status == 200:
                return True
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """End the server's whole process group: the workers are its children."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


def _log_end(folder: Path, lines: int = 5) -> str:
    log = folder / "server.log"
    return " | ".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
