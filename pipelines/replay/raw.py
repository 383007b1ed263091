"""Reading published files: whatever is wrong with one becomes a `UserError` that names it."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from schemas.errors import UserError
from schemas.spec.table import near_match


@contextmanager
def readable(file: Path, expected: str) -> Iterator[None]:
    """Turn a reader's complaint about `file` into a UserError saying what was expected."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, pa.ArrowException) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{file}: expected {expected}, received: {reason[0]}") from error


def require_folder(source: Path, holds: str) -> None:
    """Raise UserError unless `source` is a folder; `holds` says what it should contain."""
    if not source.is_dir():
        found = "a file" if source.exists() else "nothing there"
        raise UserError(f"{source}: expected a folder with {holds}, received {found}")


def require_columns(file: Path, required: Sequence[str], found: Collection[str]) -> None:
    """Raise UserError naming the first required column that `file` does not have."""
    for name in required:
        if name not in found:
            hint = near_match(name, found)
            raise UserError(f"{file}: expected a column {name!r}, received none of that name{hint}")


def require_values(file: Path, frame: pl.DataFrame) -> None:
    """Raise UserError if any column of `frame` has an empty value."""
    for name, empty in zip(frame.columns, frame.null_count().row(0), strict=True):
        if empty:
            raise UserError(f"{file}: expected a value of {name!r} in every row, {empty} lack one")


def require_offer(what: str, wanted: Collection[str], offered: Collection[str]) -> None:
    """Raise UserError if the spec declares a name that the data set cannot fill."""
    for name in wanted:
        if name not in offered:
            raise UserError(f"spec: the data set has no {what} {name!r}{near_match(name, offered)}")
