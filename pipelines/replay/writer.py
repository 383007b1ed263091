"""Event tables into files: a folder per stream, a file per day, rows in time order.

    out/exposure/2022-04-25.parquet
    out/click/2022-04-25.parquet …

A file is named after the UTC day of its events, so that sorted names are time order. It is
written under a temporary name and renamed, so that a reader never sees half of one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.replay.avro import write_avro
from schemas.errors import UserError
from schemas.events import avro_schema
from schemas.spec import Spec

FileFormat = Literal["parquet", "jsonl", "avro"]

ROW_GROUP_ROWS = 50_000
DAY_MS = 86_400_000

_DAY_FILE = "????-??-??"


@dataclass(frozen=True)
class ReplaySummary:
    """What a replay wrote: events by stream, the range of their times, and what was missing."""

    counts: Mapping[str, int]
    first_time_ms: int
    last_time_ms: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replayed:
    """A data set as event tables in time order, made one after the other; what it lacks."""

    streams: Iterator[tuple[str, pa.Table]]
    notes: tuple[str, ...] = ()


def write_events(
    streams: Iterable[tuple[str, pa.Table]],
    out: Path,
    spec: Spec,
    *,
    file_format: FileFormat = "parquet",
    overwrite: bool = False,
    notes: tuple[str, ...] = (),
) -> ReplaySummary:
    """Write each stream's table, whose rows must be in time order; one table is held at a time.

    Raises UserError if `out` holds anything and `overwrite` is not given, or cannot be written.
    With `overwrite` the event files of an earlier replay go first; any other file is left alone.
    """
    if file_format not in get_args(FileFormat):
        known = ", ".join(get_args(FileFormat))
        raise UserError(f"file format: expected one of {known}, received {file_format!r}")
    try:
        _prepare(out, overwrite)
        written = {
            name: _write_stream(table, out, spec, name, file_format) for name, table in streams
        }
    except OSError as error:
        raise UserError(f"{out}: expected a writable folder, received: {error}") from error
    times = [time for events in written.values() for time in events.span]
    counts = {name: events.count for name, events in written.items()}
    return ReplaySummary(counts, min(times), max(times), notes)


@dataclass(frozen=True)
class _Written:
    count: int
    span: tuple[int, ...]
    """First and last time, or nothing."""


def _prepare(out: Path, overwrite: bool) -> None:
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise UserError(
            f"{out}: expected an empty or new folder, received one that holds files already;"
            " name another one or ask for it to be overwritten"
        )
    out.mkdir(parents=True, exist_ok=True)
    for suffix in get_args(FileFormat):
        for name in (f"{_DAY_FILE}.{suffix}", f".{_DAY_FILE}.{suffix}.tmp"):
            for file in out.glob(f"*/{name}"):
                file.unlink()


def _write_stream(
    table: pa.Table, out: Path, spec: Spec, stream: str, file_format: FileFormat
) -> _Written:
    folder = out / stream
    folder.mkdir(exist_ok=True)
    for day, events in _by_day(table):
        file = folder / f"{day}.{file_format}"
        temporary = file.with_name(f".{file.name}.tmp")
        _write_file(events, temporary, spec, stream, file_format)
        temporary.replace(file)
    times = table.column("time_ms")
    return _Written(len(times), (times[0].as_py(), times[-1].as_py()) if len(times) else ())


def _by_day(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Slices of a table in time order, one for each UTC day, with the day's name."""
    days = (pl.Series(table.column("time_ms")) // DAY_MS).cast(pl.Int32).cast(pl.Date)
    start = 0
    for rows, day in days.rle().struct.unnest().rows():
        yield str(day), table.slice(start, rows)
        start += rows


def _write_file(
    table: pa.Table, file: Path, spec: Spec, stream: str, file_format: FileFormat
) -> None:
    if file_format == "parquet":
        pq.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    elif file_format == "jsonl":
        pl.DataFrame(table).write_ndjson(file)
    else:
        write_avro(table, avro_schema(spec, stream), file)
