"""What is in a window, counted from its records."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pyarrow as pa

from schemas.errors import StoreError
from schemas.labels import ORIGINS, QUERY_PATHS, TIERS
from schemas.windows.flat import AnyArray, numbers, split_list

UNCREDITED = "none"
"""A label of value 0: no event was credited."""

MISSING = "missing"
"""No label: the task does not name the sample's domain."""

LABEL_KEYS = (*TIERS, UNCREDITED, MISSING)


@dataclass(frozen=True)
class Counts:
    """Numbers of things; `labels` by task, then by tier, `none` or `missing`.

    `query_paths`: of the requests made of foreign clicks, how they came by their queries; None
    where records know of no such requests, or were sealed before these were counted.
    """

    users: int = 0
    requests: int = 0
    samples: int = 0
    revisions: int = 0
    origins: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(ORIGINS, 0))
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    query_paths: Mapping[str, int] | None = None

    def as_counted_by(self, other: Self) -> Self:
        """These counts without what the other ones do not tell."""
        return replace(self, query_paths=None) if other.query_paths is None else self


def count_users(batch: pa.RecordBatch) -> Counts:
    """The counts of a batch of `UserWindow` records."""
    _, requests = split_list(batch.column("requests"))
    candidates = requests.field("candidates")
    _, origin = split_list(candidates.field("origin"))
    tasks = candidates.field("labels")
    return Counts(
        users=batch.num_rows,
        requests=len(requests),
        samples=len(origin),
        origins=by_code(numbers(origin), ORIGINS),
        labels={task.name: _labels(tasks.field(task.name)) for task in tasks.type},
        query_paths=_query_paths(requests),
    )


def count_revisions(batch: pa.RecordBatch) -> Counts:
    """The counts of a batch of revisions."""
    return Counts(revisions=batch.num_rows)


def total(parts: Iterable[Counts]) -> Counts:
    """The sum of the counts of parts."""
    held = tuple(parts)
    tasks = {task: None for part in held for task in part.labels}
    paths = [part.query_paths for part in held if part.query_paths is not None]
    return Counts(
        users=sum(part.users for part in held),
        requests=sum(part.requests for part in held),
        samples=sum(part.samples for part in held),
        revisions=sum(part.revisions for part in held),
        origins=_sum((part.origins for part in held), ORIGINS),
        labels={
            task: _sum((part.labels.get(task, {}) for part in held), LABEL_KEYS) for task in tasks
        },
        query_paths=_sum(paths, QUERY_PATHS) if paths else None,
    )


def _labels(labels: pa.StructArray) -> dict[str, int]:
    tier = split_list(labels.field("tier"))[1]
    present = numbers(split_list(labels.field("value"))[1].is_valid())
    credited = numbers(tier.is_valid())
    return {
        **by_code(numbers(tier.drop_null()), TIERS),
        UNCREDITED: int(np.count_nonzero(present & ~credited)),
        MISSING: int(np.count_nonzero(~present & ~credited)),
    }


def _query_paths(requests: pa.StructArray) -> dict[str, int] | None:
    if requests.type.get_field_index("query_path") < 0:
        return None
    return by_code(numbers(requests.field("query_path").drop_null()), QUERY_PATHS)


def by_code(codes: AnyArray, names: tuple[str, ...]) -> dict[str, int]:
    """How often each name's code occurs. Raises StoreError for a code without a name."""
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):
        raise StoreError(
            f"expected codes from 0 to {len(names) - 1} ({', '.join(names)}), received codes from "
            f"{codes.min()} to {codes.max()}. The records were made by a newer version, or are "
            "damaged: read them with that version, or build the window again."
        )
    found = np.bincount(codes, minlength=len(names))
    return {name: int(number) for name, number in zip(names, found, strict=True)}


def _sum(parts: Iterable[Mapping[str, int]], names: tuple[str, ...]) -> dict[str, int]:
    summed: Counter[str] = Counter()
    for part in parts:
        summed.update(part)
    return {name: summed[name] for name in names}
