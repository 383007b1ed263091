"""What was predicted of windows whose labels may still change, and how these did change.

predictions/
    20220501T020000Z-samples.arrow      the window's samples as they were scored: one record batch
                                        a fold of the metrics, so that judging again adds up alike
    20220501T020000Z-revisions.arrow    the revisions that this window carries, each beside the
                                        number of the sample that it points at, by its window
Both are written whole or not at all, and read through memory maps.

Shape legend: N samples, K tasks.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learner.metrics import Scored
from learner.metrics.scored import Bools, Ints
from learner.sample_keys import revision_keys
from models.batch import UserBatch
from schemas.durable import flush
from schemas.windows.flat import numbers
from schemas.windows.names import window_name, window_start
from schemas.windows.publish import draft

log = logging.getLogger(__name__)

_SAMPLES = "-samples.arrow"
_REVISIONS = "-revisions.arrow"
_REVISED = pa.schema(
    [
        pa.field("window_start_ms", pa.int64()),
        pa.field("sample", pa.int64()),
        pa.field("task", pa.int32()),
        pa.field("positive", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Revised:
    """Labels that changed: sample by number within its window, index of the task, new label."""

    sample: Ints
    task: Ints
    positive: Bools


@dataclass(frozen=True)
class Placed:
    """How many revisions a window carries, and how many of them found no sample."""

    revisions: int
    unmatched: int


@dataclass
class Keeper:
    """Takes one window's samples while it is scored."""

    _writer: pa.RecordBatchFileWriter
    _publish: Callable[[], None]
    _tasks: Sequence[str]
    _keys: list[Ints] = field(default_factory=list)

    def noting(self, batches: Iterable[tuple[UserBatch, Ints]]) -> Iterator[UserBatch]:
        """The batches alone; their samples' keys wait for `fold`."""
        for batch, keys in batches:
            self._keys.append(keys)
            yield batch

    def fold(self, scored: Scored) -> None:
        """Keep the batches noted since the last fold, as they were scored."""
        keys, self._keys = np.concatenate(self._keys), []
        if scored.n_samples:
            self._writer.write_batch(_kept(keys, scored, self._tasks))

    def done(self) -> None:
        """All of the window was scored."""
        self._writer.close()
        self._publish()


STEP = "step"
"""Names, in the metadata of a file's schema, when its window was scored."""


@dataclass(frozen=True)
class Predictions:
    """The folder of kept predictions, for the tasks of one layout."""

    folder: Path
    tasks: tuple[str, ...]

    @contextmanager
    def keeping(self, start_ms: int, step: int) -> Iterator[Keeper]:
        """Keep a window's samples, scored at a step, if `done` says so before the end.

        Raises StoreError if the disk does not take them.
        """
        path = self._samples(start_ms)
        with draft(path) as file:

            def publish() -> None:
                file.replace()
                flush(self.folder)

            schema = _schema(self.tasks).with_metadata({STEP: str(step)})
            yield Keeper(pa.ipc.new_file(file.file, schema), publish, self.tasks)

    def place(self, start_ms: int, revisions: pa.Table) -> Placed:
        """Keep the revisions that a window carries beside the samples that they point at."""
        window = numbers(revisions.column("window_start_ms").combine_chunks())
        task = pc.index_in(revisions.column("task"), value_set=pa.array(self.tasks, pa.string()))
        task = numbers(pc.fill_null(task, -1).combine_chunks())
        sample = self._found(window, revision_keys(revisions))
        known = (sample >= 0) & (task >= 0)
        positive = numbers(revisions.column("new_value").combine_chunks()) > 0
        columns = [column[known] for column in (window, sample, task, positive)]
        if known.any():
            self._keep(start_ms, columns)
        return Placed(len(known), int((~known).sum()))

    def scored(self, start_ms: int) -> Iterator[Scored]:
        """A window's samples as they were scored, fold by fold; none if they were not kept."""
        for batch in _batches(self._samples(start_ms)):
            yield _scored(batch, self.tasks)

    def step(self, start_ms: int) -> int | None:
        """The step at which a window was scored; None if nothing of it was kept."""
        for batch in _batches(self._samples(start_ms))[:1]:
            return int(batch.schema.metadata[STEP.encode()])
        return None

    def revised(self, start_ms: int, carriers: Sequence[int]) -> Revised:
        """The changes of a window's labels that these windows carry, in order."""
        parts = [pa.record_batch([[], [], [], []], _REVISED)]
        for carrier in carriers:
            for batch in _batches(self._revisions(carrier)):
                window = numbers(batch.column("window_start_ms"))
                first, last = np.searchsorted(window, [start_ms, start_ms + 1])
                parts.append(batch.slice(first, last - first))
        table = pa.Table.from_batches(parts).combine_chunks()
        columns = (numbers(table.column(name).chunk(0)) for name in _REVISED.names[1:])
        return Revised(*columns)

    def forget(self, closed: Callable[[int], bool]) -> None:
        """Remove what is kept of windows that are closed, by start, and what a crash left."""
        for path in sorted(self.folder.glob("*")):
            start_ms = window_start(path.name.rpartition("-")[0])
            if start_ms is None or closed(start_ms):
                path.unlink()

    def _found(self, window: Ints, keys: Ints) -> Ints:
        """The number of each key's sample in its window, -1 where there is none."""
        found = np.full(len(keys), -1, dtype=np.int64)
        for start_ms in np.unique(window).tolist():
            asked, before = np.flatnonzero(window == start_ms), 0
            for batch in _batches(self._samples(start_ms)):
                sorted_keys = numbers(batch.column("key"))
                place = np.searchsorted(sorted_keys, keys[asked]).clip(max=len(sorted_keys) - 1)
                hit = sorted_keys[place] == keys[asked]
                found[asked[hit]] = before + numbers(batch.column("sample"))[place[hit]]
                before += batch.num_rows
        return found

    def _keep(self, start_ms: int, columns: Sequence[np.ndarray]) -> None:
        order = np.argsort(columns[0], kind="stable")
        arrays = [
            pa.array(one[order], kind.type) for one, kind in zip(columns, _REVISED, strict=True)
        ]
        with draft(self._revisions(start_ms)) as file:
            with pa.ipc.new_file(file.file, _REVISED) as writer:
                writer.write_batch(pa.record_batch(arrays, _REVISED))
            file.replace()
        flush(self.folder)

    def _samples(self, start_ms: int) -> Path:
        return self.folder / f"{window_name(start_ms)}{_SAMPLES}"

    def _revisions(self, start_ms: int) -> Path:
        return self.folder / f"{window_name(start_ms)}{_REVISIONS}"


def _schema(tasks: Sequence[str]) -> pa.Schema:
    """`key` is sorted and `sample` says whose it is; all else stands in the samples' order."""
    return pa.schema(
        [
            pa.field("key", pa.int64()),
            pa.field("sample", pa.int32()),
            pa.field("user", pa.int64()),
            pa.field("request", pa.int32()),
            pa.field("column", pa.int32()),
            *(pa.field(f"logit {task}", pa.float32()) for task in tasks),
            *(pa.field(f"label {task}", pa.bool_()) for task in tasks),
        ]
    )


def _kept(keys: Ints, scored: Scored, tasks: Sequence[str]) -> pa.RecordBatch:
    order = np.argsort(keys, kind="stable")
    arrays = [
        keys[order],
        order,
        scored.user_hash[scored.user],
        scored.request,
        scored.column,
        *scored.logits.T,
    ]
    labels = [
        pa.array(positive, mask=~present)
        for positive, present in zip(scored.positive.T, scored.present.T, strict=True)
    ]
    schema = _schema(tasks)
    kinds = schema.types[: len(arrays)]
    columns = [pa.array(one).cast(kind) for one, kind in zip(arrays, kinds, strict=True)]
    return pa.record_batch([*columns, *labels], schema)


def _scored(batch: pa.RecordBatch, tasks: Sequence[str]) -> Scored:
    labels = [batch.column(f"label {task}") for task in tasks]
    hashes = numbers(batch.column("user"))
    first = np.append(True, hashes[1:] != hashes[:-1])  # a user's samples stand together
    logits = [numbers(batch.column(f"logit {task}")) for task in tasks]
    return Scored(
        logits=np.stack(logits, axis=1).astype(np.float64),
        positive=np.stack([numbers(pc.fill_null(one, False)) for one in labels], axis=1),
        present=np.stack([numbers(one.is_valid()) for one in labels], axis=1),
        column=numbers(batch.column("column")).astype(np.int64),
        request=numbers(batch.column("request")).astype(np.int64),
        user=np.cumsum(first) - 1,
        user_hash=hashes[first],
    )


def _batches(path: Path) -> list[pa.RecordBatch]:
    """The record batches of a file, not read yet; none, and a warning, if it is damaged."""
    if not path.exists():
        return []
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        return [reader.get_batch(number) for number in range(reader.num_record_batches)]
    except (pa.ArrowInvalid, OSError) as error:
        log.warning(
            "%s: expected what this learner kept of a window, received a damaged file (%s). What "
            "was in it does not count when the window is judged again; training goes on.",
            path,
            error,
        )
        return []
