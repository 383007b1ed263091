"""A PostgreSQL cluster in a folder of its own, on a free port of the loopback."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.jars import Missing
from infra.processes import HOST, Process, free_port
from schemas.errors import UserError

DEBIAN = Path("/usr/lib/postgresql")
"""Debian keeps each major version's programs below it, off the PATH."""

OWNER = "postgres"
"""The user that Debian's package makes: the server refuses to run as root."""

NAME = "mlflow"

_QUICK = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
"""What is thrown away need not outlive a power cut."""


@dataclass(frozen=True)
class Database:
    """An empty database and who may use it."""

    port: int
    password: str

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"{HOST}:{self.port}"

    @property
    def uri(self) -> str:
        """As SQLAlchemy and libpq read it, the password included."""
        return f"postgresql://{NAME}:{self.password}@{self.address}/{NAME}"


def programs() -> Path:
    """The folder of `postgres` and `initdb`, the newest version's. Raises Missing."""
    found = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        raise Missing(
            f"postgres: expected on the PATH or below {DEBIAN}, received nothing. Install "
            "PostgreSQL, on Debian with `python -m infra.debian postgresql`."
        )
    return Path(on_path).resolve().parent


@contextmanager
def local_postgres(patience_s: float = 60.0) -> Iterator[Database]:
    """A new cluster with an empty database; stopped and removed on the way out.

    Raises Missing without PostgreSQL, UserError if it does not start.
    """
    folder = programs()
    with tempfile.TemporaryDirectory(prefix="millstream-postgres-") as home:
        database = Database(free_port(), secrets.token_hex(16))
        _own(Path(home))
        _create(folder, Path(home), database.password)
        server = Process("PostgreSQL", Path(home) / "server.log")
        server.start([*_as_owner(), str(folder / "postgres"), *_settings(Path(home), database)])
        try:
            server.wait_for(lambda: _ready(folder, database), database.address, patience_s)
            _run([str(folder / "createdb"), f"--maintenance-db={_postgres(database)}", NAME])
            yield database
        finally:
            server.stop()


def _own(home: Path) -> None:
    """The server's user must be able to enter; nobody else may."""
    if os.geteuid() == 0:
        shutil.chown(home, OWNER, OWNER)


def _as_owner() -> list[str]:
    """What makes a command run as the server's user, and still end with us."""
    if os.geteuid() != 0:
        return []
    words = [f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "--pdeathsig=KILL"]
    return ["setpriv", *words]


def _create(folder: Path, home: Path, password: str) -> None:
    secret = home / "password"
    secret.write_text(password, encoding="utf-8")
    if os.geteuid() == 0:
        shutil.chown(secret, OWNER, OWNER)
    words = ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
    words += [f"--username={NAME}", f"--pwfile={secret}", f"--pgdata={home / 'data'}"]
    _run([*_as_owner(), str(folder / "initdb"), *words], home)
    secret.unlink()


def _settings(home: Path, database: Database) -> list[str]:
    settings = {"listen_addresses": HOST, "unix_socket_directories": "", **_QUICK}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return ["-D", str(home / "data"), "-p", str(database.port), *words]


def _postgres(database: Database) -> str:
    """The database that every cluster begins with."""
    return database.uri.removesuffix(NAME) + "postgres"


def _ready(folder: Path, database: Database) -> bool:
    command = [str(folder / "pg_isready"), "--quiet", "-h", HOST, "-p", str(database.port)]
    return subprocess.run(command, check=False).returncode == 0


def _run(command: list[str], where: Path | None = None) -> None:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"{Path(command[0]).name}: expected PostgreSQL's program to succeed, received: "
            f"{done.stderr.strip()[-300:]}"
        )
