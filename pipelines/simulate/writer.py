"""Files of a simulated world: a folder for each stream, a file for each slice, and the truth.

    out/events/exposure/20250106T060000Z.parquet     in order of arrival
    out/truth/items.parquet
    out/truth/requests/20250106T060000Z.parquet

A file is named after its slice, so that sorted names are arrival order. It is written under a
temporary name and renamed, so that a reader never sees half of one.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, get_args

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.replay.avro import write_avro
from pipelines.replay.writer import FileFormat, ReplaySummary
from schemas.errors import UserError
from schemas.events import arrow_schema, avro_schema
from schemas.spec import Spec

ROW_GROUP_ROWS = 50_000
PAGE_BYTES = 1 << 18
"""What a core's cache holds while a page is compressed."""
VALUES_AT_ONCE = 1 << 14
"""Lists are written so many of their elements at a time: each turn has a cost of its own."""
TRUTH_TABLES = ("requests", "feedback", "retractions", "items", "queries", "examination")
_SLICE_FILE = "????????T??????Z"


class Output(Protocol):
    """Where a world goes, slice after slice."""

    def events(self, stream: str, slice_ms: int, table: pa.Table) -> None:
        """Take what arrives on a stream in the slice that begins at `slice_ms`."""

    def truth(self, name: str, slice_ms: int | None, table: pa.Table) -> None:
        """Take a part of a truth table, or the whole of it if it belongs to no slice."""


@dataclass
class Writer:
    """Writes a world below `out`. Raises UserError where that is impossible."""

    out: Path
    spec: Spec
    file_format: FileFormat = "parquet"
    _counts: Counter[str] = field(default_factory=Counter)
    _times: list[int] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        out: Path,
        spec: Spec,
        file_format: FileFormat = "parquet",
        overwrite: bool = False,
        truth_only: bool = False,
    ) -> "Writer":
        """Prepare the folders; with `overwrite` the files of an earlier world go first."""
        if out.is_dir() and any(out.iterdir()) and not overwrite:
            raise UserError(
                f"{out}: expected an empty or new folder, received one that holds files already;"
                " name another one or ask for it to be overwritten"
            )
        streams = () if truth_only else tuple(spec.streams)
        for folder in [f"events/{name}" for name in streams] + ["truth"]:
            (out / folder).mkdir(parents=True, exist_ok=True)
        for file in _old_files(out):
            file.unlink()
        return cls(out, spec, file_format)

    def events(self, stream: str, slice_ms: int, table: pa.Table) -> None:
        """Write what arrives on a stream in the slice that begins at `slice_ms`."""
        if not table.num_rows:
            return
        self._counts[stream] += table.num_rows
        self._times += pc.min_max(table["time_ms"]).as_py().values()
        folder = self.out / "events" / stream
        file = folder / f"{_name(slice_ms)}.{self.file_format}"
        temporary = file.with_name(f".{file.name}.tmp")
        self._write(table, stream, temporary)
        temporary.replace(file)

    def truth(self, name: str, slice_ms: int | None, table: pa.Table) -> None:
        """Write a part of a truth table, or the whole of it if it belongs to no slice."""
        if slice_ms is None:
            _write_parquet(table, self.out / "truth" / f"{name}.parquet")
        elif table.num_rows:
            folder = self.out / "truth" / name
            folder.mkdir(exist_ok=True)
            _write_parquet(table, folder / f"{_name(slice_ms)}.parquet")

    def summary(self) -> ReplaySummary:
        """What was written so far."""
        counts = {name: self._counts[name] for name in self.spec.streams}
        return ReplaySummary(counts, min(self._times), max(self._times))

    def _write(self, table: pa.Table, stream: str, file: Path) -> None:
        if self.file_format == "parquet":
            return _write_parquet(table, file)
        schema = arrow_schema(self.spec, stream)
        plain = table.select(schema.names).cast(schema)
        if self.file_format == "avro":
            return write_avro(plain, avro_schema(self.spec, stream), file)
        return pl.DataFrame(plain).write_ndjson(file)


def _write_parquet(table: pa.Table, file: Path) -> None:
    """Dictionaries, statistics and compression where they serve only: elsewhere they cost most."""
    leaves = [leaf for column in table.schema for leaf in _leaves(column, column.name)]
    # A path would be asked which file system it is on, which costs as much as a small table.
    with pa.OSFile(str(file), "wb") as sink:
        pq.write_table(
            table,
            sink,
            compression={path: _compression(path, kind) for path, kind in leaves},
            use_dictionary=[path for path, kind in leaves if pa.types.is_dictionary(kind)],
            write_statistics=["time_ms"],
            data_page_size=PAGE_BYTES,
            write_batch_size=VALUES_AT_ONCE,
            row_group_size=ROW_GROUP_ROWS,
            store_schema=False,
        )


def _compression(path: str, kind: pa.DataType) -> str:
    """None for numbers of dictionary entries, packed to bits already, and for lists of numbers."""
    numbers = pa.types.is_primitive(kind) and path.endswith(".list.element")
    return "none" if numbers or pa.types.is_dictionary(kind) else "lz4"


def _leaves(column: pa.Field, path: str) -> list[tuple[str, pa.DataType]]:
    """Parquet's names of the plain columns in a column, and their types."""
    if pa.types.is_list(column.type):
        return _leaves(column.type.value_field, f"{path}.list.element")
    if pa.types.is_struct(column.type):
        return [leaf for part in column.type for leaf in _leaves(part, f"{path}.{part.name}")]
    return [(path, column.type)]


def _old_files(out: Path) -> list[Path]:
    named = [f"events/*/{_SLICE_FILE}.{suffix}" for suffix in get_args(FileFormat)] + [
        f"truth/*/{_SLICE_FILE}.parquet",
        *(f"truth/{name}.parquet" for name in TRUTH_TABLES),
    ]
    return [file for pattern in named for file in out.glob(pattern)]


def _name(slice_ms: int) -> str:
    return f"{datetime.fromtimestamp(slice_ms / 1000, UTC):%Y%m%dT%H%M%SZ}"
