"""Samples are moved together once less than half of them are needed, and references follow."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.steps.attribute.compact import compacted
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.tables import ColumnSet, Credits, Feedback, Requests, Samples


def test_gaps_are_closed_and_references_follow() -> None:
    """Of six samples the fifth and the second are needed, in the order of their requests."""
    after = compacted(_memory(samples=6))
    assert after.samples.item.tolist() == [14, 11]
    assert after.requests.first.tolist() == [0, 1]
    assert after.feedback.flag.tolist() == [0, 1, -1]
    assert after.feedback.positive.tolist() == [-1, 0, 1]
    assert after.credits.sample.tolist() == [1]


def test_samples_stay_while_half_of_them_are_needed() -> None:
    before = replace(_memory(samples=6), samples=_filled(Samples, 4))
    assert compacted(before) is before


def _memory(samples: int) -> Memory:
    requests = _filled(Requests, 2, first=[4, 1], samples=[1, 1])
    feedback = _filled(Feedback, 3, flag=[4, 1, -1], positive=[-1, 4, 1])
    return replace(
        Memory.of({}),
        requests=requests,
        samples=_filled(Samples, samples, item=list(range(10, 10 + samples))),
        feedback=feedback,
        credits=_filled(Credits, 1, sample=[1]),
    )


def _filled(kind: type[ColumnSet], rows: int, **columns: list[int]) -> Any:
    """Rows of zeros and empty texts but for these columns."""
    texts = {f.name for f in fields(kind) if f.name.endswith("_id")}
    empty = {
        f.name: pa.array([""] * rows) if f.name in texts else np.zeros(rows, np.int64)
        for f in fields(kind)
    }
    return kind(**empty | {name: np.array(held, np.int64) for name, held in columns.items()})
