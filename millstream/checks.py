"""What millstream needs around it, one check a function."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

SETUP = "Run `make setup`, or install millstream with pip"


@dataclass(frozen=True)
class Check:
    """One thing looked at: whether it is there, what was found, and what to do if it is not."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False


def python() -> Check:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer")


def libraries(distribution: str) -> Iterator[Check]:
    """Each library that the installed distribution asks for, without importing it."""
    from packaging.requirements import Requirement

    try:
        yield Check(distribution, True, metadata.version(distribution))
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        yield Check(distribution, False, "not installed", SETUP)
        return
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield library(requirement.name, str(requirement.specifier))


def library(name: str, specifier: str) -> Check:
    """One library and whether its version is one that is asked for."""
    from packaging.specifiers import SpecifierSet

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", SETUP)
    fits = SpecifierSet(specifier).contains(version, prereleases=True)
    return Check(name, fits, version if fits else f"{version}, expected {specifier}", SETUP)


def writable(folder: Path) -> Check:
    """Whether results can be written here."""
    remedy = "Change to a folder that you may write to"
    return Check("working folder", os.access(folder, os.W_OK | os.X_OK), str(folder), remedy)


def java() -> Check:
    """Java, for `--runner flink` and a local Kafka."""
    remedy = "Install Java 17 to use `--runner flink` or a local Kafka; all else works without"
    program = shutil.which("java")
    if program is None:
        return Check("java", False, "not found", remedy, optional=True)
    answer = subprocess.run(
        [program, "-version"], capture_output=True, text=True, timeout=60, check=False
    )
    first = (answer.stderr or answer.stdout or "no answer").splitlines()[0]
    return Check("java", answer.returncode == 0, first, remedy, optional=True)


def chromium() -> Check:
    """Chromium, for the tests that look at the MLflow pages."""
    remedy = "Install Chromium to run the tests of the MLflow pages; all else works without"
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    return Check("chromium", program is not None, program or "not found", remedy, optional=True)


def mlflow_server(uri: str) -> Check:
    """The tracking server's health page; a store that is not a server is taken as it is."""
    remedy = "Start the MLflow server or correct the URI"
    if not uri.startswith(("http://", "https://")):
        return Check("mlflow server", True, f"{uri} (no server, opened directly)")
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=5) as answer:
            return Check("mlflow server", answer.status == 200, f"{uri} answers", remedy)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Check("mlflow server", False, f"{uri} does not answer: {reason}", remedy)
