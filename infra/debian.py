"""Packages of Debian that tests of real servers need; installed where one may."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from infra.jars import Missing
from schemas.errors import UserError

QUIET = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
"""Nothing is asked, and no service is started by its package."""


def install(packages: Sequence[str]) -> list[str]:
    """Install those that are not there, by apt-get; their names.

    Raises Missing without apt-get or the right to use it, UserError with its complaint if it fails.
    """
    lacking = [name for name in packages if not is_installed(name)]
    if not lacking:
        return []
    names = " ".join(lacking)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise Missing(
            f"{names}: expected to be installed, received no apt-get that may be used here. "
            f"Install what Debian calls {names}, on Debian as root."
        )
    for words in (["update"], ["install", "-y", "--no-install-recommends", *lacking]):
        command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *words]
        environment = {**os.environ, **QUIET}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(
                f"apt-get {' '.join(words)}: expected {names} to be installed, received: "
                f"{done.stderr.strip()[-300:]}"
            )
    return lacking


def is_installed(package: str) -> bool:
    """Whether dpkg has it, unpacked and configured."""
    query = shutil.which("dpkg-query")
    if query is None:
        return False
    command = [query, "--show", "--showformat", "${db:Status-Status}", package]
    return subprocess.run(command, capture_output=True, check=False).stdout == b"installed"


def main() -> int:
    """Install what the command line names; 1 if that is not possible here."""
    parser = argparse.ArgumentParser(
        prog="infra.debian", description="Install packages of Debian that are not there."
    )
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    try:
        installed = install(parser.parse_args().packages)
    except UserError as error:
        print(f"infra.debian: {error}", file=sys.stderr)
        return 1
    print(f"installed: {' '.join(installed) or 'nothing, all were there'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
