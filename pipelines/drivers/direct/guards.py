"""What keeps runs apart: state belongs to one set-up and one process; signals end it in order."""

import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from schemas.durable import read_json, write_json
from schemas.errors import UserError
from schemas.spec import Spec, spec_digest

STATE_VERSION = 4


def check_identity(state: Path, spec: Spec, shards: int) -> None:
    """State, spec and shard count belong together from the first epoch on. Raises UserError."""
    path = state / "identity.json"
    mine = {
        "spec": spec_digest(spec),
        "shards": shards,
        "state_version": STATE_VERSION,
    }
    if not path.exists():
        write_json(path, mine)
        return
    there = read_json(path)
    for name, value in mine.items():
        if there.get(name) != value:
            raise UserError(
                f"{path}: expected {name} {value!r}, received {there.get(name)!r}. This state was "
                "made by another set-up: run with the same spec and --shards as before, or give "
                "an empty --state and an empty --windows."
            )


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """One pipeline per state folder. Raises UserError."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "lock").open("w")
    except OSError as error:
        raise UserError(
            f"{state}: expected a folder to keep the pipeline's state in, received: "
            f"{error.strerror}. Give --state a folder that you may write to."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{state}: expected a state folder that nobody uses, received one that another "
                "pipeline works on. Stop it first, or give this one a --state of its own."
            ) from error
        yield


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT asked for the end."""
    asked: list[int] = []

    def ask(signum: int, _: FrameType | None) -> None:
        asked.append(signum)

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
