"""Which rows hold legal values."""

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.by_hand.arrays import Bools, Ints
from benchmarks.by_hand.names import ITEM_IDS, REQUEST_IDS
from benchmarks.by_hand.read import Events
from benchmarks.by_hand.words import words_of
from benchmarks.speed_world.spec import speed_spec
from schemas.spec import Spec

ID_LIMIT_BYTES, TEXT_LIMIT_BYTES = 1024, 64 * 1024
YEAR_10000_MS = 253_402_300_800_000


def legal_features(events: Events) -> Bools:
    """Whether every text and number of an exposure and of its candidates is legal."""
    legal = np.ones(events.shown.num_rows, np.bool_)
    for name in ("query", *REQUEST_IDS):
        legal &= words_of(events.shown[name]).legal(TEXT_LIMIT_BYTES)
    below = [words_of(events.candidates[name]).legal(TEXT_LIMIT_BYTES) for name in ITEM_IDS]
    below.append(events.item[0].legal(ID_LIMIT_BYTES, 1))
    below.append(pc.is_finite(events.candidates["price"]).fill_null(True).to_numpy())
    wrong = np.flatnonzero(~np.logical_and.reduce(below))
    legal[np.searchsorted(events.offsets, wrong, side="right") - 1] = False
    return legal


def legal_times(table: pa.Table) -> Bools:
    """Which rows have a time, and none further ahead than the spec allows."""
    latest_ms = min(time.time_ns() // 1_000_000 + speed_spec().time.max_ahead_ms, YEAR_10000_MS)
    time_ms = table["time_ms"].fill_null(-1).to_numpy()
    return (time_ms >= 0) & (time_ms <= latest_ms)


def legal_text(column: pa.ChunkedArray, least_bytes: int = 1) -> Bools:
    """Which rows hold an id of a legal length."""
    column.validate(full=True)
    sizes = pc.binary_length(column).fill_null(least_bytes - 1).to_numpy()
    return (sizes >= least_bytes) & (sizes <= ID_LIMIT_BYTES)


def places(column: pa.ChunkedArray, spec: Spec) -> Ints:
    """Each row's scenario by its place in the spec, -1 if it is none of them or null."""
    words = words_of(column)
    known = {name: place for place, name in enumerate(spec.scenarios)}
    places = [known.get(name, -1) for name in words.values.to_pylist()]
    return np.array([*places, -1])[words.codes]
