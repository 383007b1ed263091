"""`kill -9` of a pipeline at random moments of its work, many times within a minute.

    python -m tests.pipeline.kills SEED KILLS FOLDER... -- WORDS...

A process that has imported everything is forked for each attempt, for starting Python costs more
than the work between two kills. Each FOLDER holds a spec and is worked through to its end before
the next; prints how many kills hit a process at work.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pipelines.drivers.direct  # noqa: F401  what takes its time is imported before the forks
from millstream.cli import main


def forked(words: list[str], folder: Path) -> int:
    """A child that runs a command in a folder; its process id."""
    child = os.fork()
    if child:
        return child
    os.chdir(folder)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os._exit(main(words))


def ends_within(child: int, seconds: float) -> int | None:
    """The exit code of a child; None if it was at work when its time came, and is killed now."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def worked_through(words: list[str], folder: Path, rng: random.Random, kills: int) -> int:
    """Kill so often at most, at moments around the first epochs; how often it was."""
    for hit in range(kills):
        code = ends_within(forked(words, folder), rng.uniform(0.3, 2.5))
        if code is not None:
            assert code == 0, code
            return hit
    assert ends_within(forked(words, folder), 300) == 0
    return kills


def run(seed: int, kills: int, folders: list[Path], words: list[str]) -> int:
    """How many kills hit."""
    rng, hits = random.Random(seed), 0
    for folder in folders:
        hits += worked_through(words, folder, rng, kills - hits)
    return hits


if __name__ == "__main__":
    split = sys.argv.index("--")
    seed, kills, *folders = sys.argv[1:split]
    print(run(int(seed), int(kills), [Path(one) for one in folders], sys.argv[split + 1 :]))
