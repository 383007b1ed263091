"""What a row begins with: a function of table and id, so that no order of events shows in it."""

import numpy as np
import numpy.typing as npt
from numba import njit

from models.tables.index import Ints


def initial_rows(ids: Ints, salt: int, dim: int, std: float) -> npt.NDArray[np.float32]:
    """Uniform in ±√3·std: the first 24 bits of a hash of salt, id and column; [n, dim]."""
    rows = np.empty((len(ids), dim), np.float32)
    _fill(rows, ids.view(np.uint64) ^ np.uint64(salt), np.float32(3**0.5 * std))
    return rows


@njit(cache=True)
def _fill(rows, salted, scale):  # type: ignore[no-untyped-def]
    for at in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            mixed = salted[at] + np.uint64(column + 1) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            unit = np.float32(mixed >> np.uint64(40)) / np.float32(1 << 23) - np.float32(1)
            rows[at, column] = unit * scale
