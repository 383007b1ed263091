"""The commands of a page of the documentation, and running them."""

import shlex
import subprocess
import sys
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs"


def commands(page: Path) -> list[str]:
    """The commands of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    code = [line.strip() for line in lines if line.startswith("    ")]
    return [line for line in code if line.split()[0] in ("millstream", "curl", "cp")]


def started(line: str, folder: Path) -> "subprocess.Popen[str]":
    """A command, begun in a folder."""
    words = shlex.split(line)
    if words[0] == "millstream":
        words = [sys.executable, "-m", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, text=True, stdout=pipe, stderr=pipe)


def done(line: str, folder: Path) -> str:
    """What a command printed; it must succeed."""
    process = started(line, folder)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, f"{line}\n{err}"
    return out
