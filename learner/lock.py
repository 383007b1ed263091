"""One learner a state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import UserError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system drops when the process dies, however it dies.

    Raises UserError if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise UserError(
                f"{folder}: expected a state folder that no learner uses, received one that "
                f"process {file.read().strip() or '?'} holds. Stop that learner, or name another "
                "folder with --state."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
