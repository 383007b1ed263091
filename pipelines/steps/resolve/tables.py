"""What travels between the steps that make requests of foreign clicks (rule 10).

`user` and `id` name a pseudo-request, `item` one of its candidates; all hashes but `id`.
"""

from collections.abc import Mapping

import pyarrow as pa


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_REQUEST = [
    _required("window_start_ms", pa.int64()),
    _required("user", pa.int64()),
    _required("id", pa.string()),
]

WANTED = pa.schema(
    [
        *_REQUEST,
        _required("time_ms", pa.int64()),
        _required("item", pa.int64()),
        _required("origin", pa.int32()),
    ]
)
"""Candidates of pseudo-requests: what was each item's text at the request's time?"""

SHOWN = pa.schema(
    [
        *_REQUEST,
        _required("time_ms", pa.int64()),
        _required("item", pa.int64()),
        _required("query", pa.string()),
    ]
)
"""Items that native requests of the target domain exposed under a query."""

QUERIES = pa.schema(
    [
        _required("window_start_ms", pa.int64()),
        _required("query", pa.string()),
        _required("time_ms", pa.int64()),
    ]
)
"""When each query was first asked in a window."""

TEXTS = pa.schema(
    [
        *_REQUEST,
        _required("item", pa.int64()),
        pa.field("title", pa.string()),
        pa.field("text", pa.string()),
    ]
)
"""The item's title and text, null if it had none."""

ANSWERS = pa.schema(
    [
        *_REQUEST,
        pa.field("query", pa.string()),
        _required("path", pa.int32()),
        pa.field("score", pa.float64()),
    ]
)
"""The query of a pseudo-request, and how it was found."""

UNANSWERED = pa.schema(
    [*_REQUEST, _required("time_ms", pa.int64()), pa.field("title", pa.string())]
)
"""Pseudo-requests whose item no query of the time had shown, with its title."""


def counted(counts: Mapping[str, int]) -> pa.Table:
    """Counts by name as a step's `counts`, without those that are 0."""
    some = {name: count for name, count in sorted(counts.items()) if count}
    names = pa.array(list(some), pa.string())
    return pa.table({"name": names, "count": pa.array(list(some.values()), pa.int64())})
