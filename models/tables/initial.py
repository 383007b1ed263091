"""What a row begins with: a function of table and id, so that no order of events shows in it."""

import numpy as np
import numpy.typing as npt

from models.tables.index import Ints

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def initial_rows(ids: Ints, salt: int, dim: int, std: float) -> npt.NDArray[np.float32]:
    """Uniform in ±√3·std: the first 24 bits of a hash of salt, id and column; [n, dim]."""
    column = np.arange(1, dim + 1, dtype=np.uint64) * _GOLDEN
    with np.errstate(over="ignore"):
        mixed = (ids.view(np.uint64)[:, None] ^ np.uint64(salt)) + column
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    unit = (mixed >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - 1
    return unit * np.float32(3**0.5 * std)
