"""Index arithmetic over rows that own runs of values."""

import numpy as np

from pipelines.arrays import Ints


def offsets_of(counts: Ints) -> Ints:
    """Where each row's run begins, and the end: shape [rows + 1]."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def runs(starts: Ints, counts: Ints) -> Ints:
    """The positions of all values of the runs that start at `starts`, run after run."""
    offsets = offsets_of(counts)
    shift = np.repeat(starts - offsets[:-1], counts)
    return np.arange(offsets[-1], dtype=np.int64) + shift


def inverse(rows: Ints, size: int) -> Ints:
    """Where each of `size` old rows stands among `rows`; -1 for those that are gone."""
    places = np.full(size, -1, np.int64)
    places[rows] = np.arange(len(rows))
    return places


def moved(references: Ints, places: Ints) -> Ints:
    """References after their targets moved; -1 stays -1."""
    if not len(places):
        return np.full(len(references), -1, np.int64)
    return np.where(references < 0, -1, places[references])


def mix(*columns: Ints) -> Ints:
    """One well-spread 64-bit key of several int64 columns (splitmix64 finaliser)."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed = (mixed ^ column.view(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed.view(np.int64)
