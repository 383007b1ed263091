"""The dead letters of a window store, and which of them were replayed.

The pipeline writes one Parquet file an epoch and never changes it; a letter is known by its epoch
and its row. What was replayed stands beside, in `_replayed/EPOCH.json`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.durable import read_json, write_json
from schemas.errors import StoreError

FOLDER = "dead_letters"
LEDGER = "_replayed"

ROW, REPLAYED = "_row", "_replayed"


@dataclass(frozen=True)
class Wanted:
    """Which letters are meant; None means all. `source` is a file or `topic/partition`."""

    stream: str | None = None
    reason: str | None = None
    source: str | None = None

    def of(self, letters: pa.Table) -> pa.Table:
        """Those among some letters."""
        for name in ("stream", "reason", "source"):
            value = getattr(self, name)
            if value is not None:
                letters = letters.filter(pc.equal(letters[name], value))
        return letters


@dataclass(frozen=True)
class LetterBox:
    """The letters below the window store at `root`."""

    root: Path

    def letters(self, wanted: Wanted) -> Iterator[tuple[int, pa.Table]]:
        """By epoch, those that are wanted, with `_row` and whether they were `_replayed`.

        Raises StoreError for a file that is none of the pipeline's.
        """
        for epoch in self._epochs():
            letters = self._read(epoch)
            rows = np.arange(letters.num_rows)
            replayed = np.isin(rows, np.array(self._sent(epoch), np.int64))
            letters = letters.append_column(ROW, pa.array(rows))
            yield epoch, wanted.of(letters.append_column(REPLAYED, pa.array(replayed)))

    def count(self, wanted: Wanted, by: Sequence[str]) -> pl.DataFrame:
        """How many letters there are by these columns, how large, and how many were replayed."""
        parts = [pl.DataFrame(letters.drop_columns(["raw"])) for _, letters in self.letters(wanted)]
        if not parts:
            return pl.DataFrame()
        counted = pl.concat(parts).group_by(by).agg(
            letters=pl.len(),
            sources=pl.col("source").n_unique(),
            bytes=pl.col("raw_bytes").sum(),
            replayed=pl.col(REPLAYED).sum(),
        )  # fmt: skip
        return counted.sort(by)

    def mark(self, epoch: int, rows: Sequence[int]) -> None:
        """Remember that these letters of an epoch were replayed."""
        write_json(self._ledger(epoch), sorted({*self._sent(epoch), *rows}))

    def _sent(self, epoch: int) -> list[int]:
        path = self._ledger(epoch)
        return list(read_json(path)) if path.exists() else []

    def _read(self, epoch: int) -> pa.Table:
        path = self._folder / f"{epoch:06d}.parquet"
        try:
            return pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(
                f"{path}: expected dead letters as the pipeline writes them, received something "
                f"else ({error}). Restore the file from a copy, or move it out of the store."
            ) from error

    def _epochs(self) -> list[int]:
        if not self.root.is_dir():
            raise StoreError(f"{self.root}: expected a folder of windows, received nothing there")
        return sorted(int(path.stem) for path in self._folder.glob("[0-9]*.parquet"))

    def _ledger(self, epoch: int) -> Path:
        return self._folder / LEDGER / f"{epoch:06d}.json"

    @property
    def _folder(self) -> Path:
        return self.root / FOLDER
