"""The candidates that are scored: which samples of which batches they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.batch import UserBatch
from schemas.labels import ORIGIN_CODES
from schemas.windows.packed import PackedUsers

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lists:
    """Candidates of one domain's requests in some windows.

    windows: by end, the batches that hold them and which of their samples they are, bool [S].
    keys: one row a candidate in that order: user, request_id, item_id, whether it was exposed, and
        a label for each task.
    """

    windows: dict[int, list[tuple[UserBatch, Bools]]]
    keys: pl.DataFrame

    @classmethod
    def of(
        cls, read: Iterable[tuple[int, PackedUsers, UserBatch]], domain: str, tasks: Sequence[str]
    ) -> "Lists":
        """Those that the windows keep: all where every candidate becomes a sample.

        `read`: batches in the order of their windows, with the end of each.
        """
        windows: dict[int, list[tuple[UserBatch, Bools]]] = {}
        keys = []
        for end_ms, packed, batch in read:
            rows = _of_domain(packed, batch, domain)
            windows.setdefault(end_ms, []).append((batch, rows))
            keys.append(_keys(packed, batch, rows, tasks))
        return cls(windows, pl.concat(keys))


def _of_domain(packed: PackedUsers, batch: UserBatch, domain: str) -> Bools:
    """Samples of that domain's requests."""
    own = packed.requests.domain.to_numpy(zero_copy_only=False) == domain
    samples: Bools = own[batch.sample_request.numpy()]
    return samples


def _keys(packed: PackedUsers, batch: UserBatch, rows: Bools, tasks: Sequence[str]) -> pl.DataFrame:
    """Which samples these are, and their labels as the windows tell them, one column a task."""
    request = batch.sample_request.numpy()[rows]
    ids = packed.requests.id.to_numpy(zero_copy_only=False)[request]
    items = packed.samples.item_id.to_numpy(zero_copy_only=False)[rows]
    columns = {
        "user": packed.user[batch.request_user.numpy()[request]],
        "request_id": pl.Series(ids, dtype=pl.String),
        "item_id": pl.Series(items, dtype=pl.String),
        "exposed": packed.samples.origin[rows] == ORIGIN_CODES["exposed"],
    }
    labels = batch.labels.numpy()[rows] > 0
    return pl.DataFrame(columns | {task: labels[:, k] for k, task in enumerate(tasks)})
