"""What keeps runs apart: state belongs to one process; signals end it in order."""

import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from schemas.errors import UserError


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
