"""Java archives from Maven, fetched once for each pom and kept outside of the repository."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import UserError


class Missing(UserError):
    """A program that only these servers need is not installed."""


def cache() -> Path:
    """Where fetched files are kept: `$MILLSTREAM_CACHE`, else `~/.cache/millstream`."""
    named = os.environ.get("MILLSTREAM_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "millstream"


def program(name: str, package: str) -> str:
    """The path of a program. Raises Missing with what to install."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name}: expected on the PATH, received nothing. Install {package}.")
    return found


def fetched(pom: Path) -> Path:
    """The folder with the archives that a pom names; fetched by Maven if they are not there yet.

    Safe among processes. Raises Missing without Maven, UserError if it fails.
    """
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = cache() / f"{pom.parent.name}-{digest}"
    if not folder.exists():
        maven = program("mvn", "Apache Maven 3.6 or newer")
        with _alone(folder):
            if not folder.exists():
                _fetch(maven, pom, folder)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(maven: str, pom: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        draft = Path(scratch) / "jars"
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={draft}"]
        command = [maven, "--quiet", "--batch-mode", "--file", str(pom), *goal]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            said = " | ".join((done.stdout + done.stderr).strip().splitlines()[:3])
            raise UserError(f"{pom}: expected Maven to fetch what it names, received: {said}")
        draft.rename(folder)
