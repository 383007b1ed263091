"""Which sample is which: a 64-bit key of (user, request, item), the same wherever it is named.

Requests made of foreign clicks have ids of their own, which revisions name as records do.
"""

import numpy as np
import pyarrow as pa

from schemas.hashing import hash_strings
from schemas.windows.flat import Int64Array
from schemas.windows.packed import PackedUsers


def sample_keys(packed: PackedUsers) -> Int64Array:
    """The keys of all samples of some users, in order."""
    request = _row_of(packed.samples.offsets)
    user = _row_of(packed.requests.offsets)[request]
    return hash_strings(
        packed.user_id.take(pa.array(user)),
        packed.requests.id.take(pa.array(request)),
        packed.samples.item_id,
    )


def revision_keys(revisions: pa.Table) -> Int64Array:
    """The keys of the samples that revisions point at; each holds within its own window."""
    names = ("user_id", "request_id", "item_id")
    return hash_strings(*(revisions.column(name) for name in names))


def _row_of(offsets: Int64Array) -> Int64Array:
    counts = np.diff(offsets)
    return np.repeat(np.arange(len(counts)), counts)
