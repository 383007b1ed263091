"""The event time at which a range of a file begins, for sources whose files are in order."""

import json
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq

from pipelines.sources.raw import Range

UNKNOWN = -(1 << 62)
"""Before all times: such a range is read at once, and the reader says what is wrong with it."""


def first_time_ms(root: Path, range_: Range) -> int:
    """The time of the range's first event; `UNKNOWN` if it cannot be told.

    An Avro file's ranges all begin, for this, where the file does: too early is safe.
    """
    path = root / range_.name
    try:
        if path.suffix == ".parquet":
            return _parquet(path, range_)
        if path.suffix == ".avro":
            return _avro(path)
        return _json_lines(path, range_) if path.suffix != ".gz" else UNKNOWN
    except Exception:  # noqa: BLE001 - whatever is wrong, the reader will meet it and tell
        return UNKNOWN


def _parquet(path: Path, range_: Range) -> int:
    file = pq.ParquetFile(path)
    leaf = next(at for at in range(len(file.schema)) if file.schema.column(at).path == "time_ms")
    return int(file.metadata.row_group(range_.start).column(leaf).statistics.min)


def _avro(path: Path) -> int:
    with path.open("rb") as file:
        first: Any = next(iter(fastavro.reader(file)))
    return int(first["time_ms"])


def _json_lines(path: Path, range_: Range) -> int:
    with path.open("rb") as file:
        file.seek(range_.start)
        return int(json.loads(file.readline())["time_ms"])
