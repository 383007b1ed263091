"""The columns that the encoding kernel copies from."""

from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.by_hand.actions import Actions
from benchmarks.by_hand.arrays import Array, Bytes, Ints
from benchmarks.by_hand.kernels.put import put_column, put_long, put_longs, put_times
from benchmarks.by_hand.names import ITEM_IDS, REQUEST_IDS, TASKS
from benchmarks.by_hand.read import Events
from benchmarks.by_hand.requests import Requests
from benchmarks.by_hand.words import Words, words_of
from schemas.hashing import hash_one, hash_strings
from schemas.spec import Spec


def action_columns(actions: Actions, events: Events, spec: Spec) -> tuple[Any, ...]:
    """What H and R carry of all actions, encoded once."""
    items, places = hash_strings(events.item[1].values), _hashes(spec.scenarios)
    category = words_of(events.feedback["category"])
    place = np.where(actions.place < 0, len(places), actions.place)
    return (
        put_times(actions.time_ms),
        _column(put_longs(items, False), actions.item),
        _column(put_longs(_hashes(TASKS), False), actions.task),
        _column(put_longs(places, True), place),
        _column(_optional(category), category[actions.row]),
    )


def request_columns(requests: Requests, events: Events, spec: Spec) -> tuple[Any, ...]:
    """What records carry of a request itself."""
    shown, rows = events.shown, requests.row
    places = [_one_text(name) + 2 * _one_text(spec.domain_of(name)) for name in spec.scenarios]
    query = words_of(shown["query"])
    features = [words_of(shown[name]) for name in REQUEST_IDS]
    return (
        requests.time_ms,
        requests.begin,
        requests.end,
        *raw(shown["request_id"]),
        rows,
        (requests.place.astype(np.int32), *_joined(places)),
        (query[rows], *texts(query.values, union=True)),
        tuple((one[rows], *_optional(one)) for one in features),
    )


def sample_columns(requests: Requests, events: Events) -> tuple[Any, ...]:
    """What records carry of a candidate."""
    kept, candidates, items = requests.kept, events.candidates, events.item[0].values
    price = candidates["price"].fill_null(0.0).to_numpy()[kept]
    features = [words_of(candidates[name]) for name in ITEM_IDS]
    return (
        requests.item,
        put_longs(hash_strings(items), False),
        texts(items),
        candidates["position"].to_numpy()[kept].astype(np.int32),
        tuple((one[kept], *_optional(one)) for one in features),
        price.view(np.uint64),
        candidates["price"].is_valid().to_numpy()[kept],
    )


def _hashes(names: tuple[str, ...]) -> Ints:
    return np.array([hash_one(name) for name in names])


def _optional(words: Words) -> Any:
    return put_longs(hash_strings(words.values), True)


def _column(words: tuple[Bytes, Ints], codes: Array) -> Any:
    return put_column(words[0], words[1], codes)


def _one_text(text: str) -> bytes:
    size = np.empty(16, np.uint8)
    data = text.encode()
    return bytes(size[: put_long(size, 0, len(data))]) + data


def texts(values: pa.StringArray, union: bool = False) -> tuple[Bytes, Ints]:
    """Strings as Avro has them; behind a union's branch, and then null, if `union`."""
    branch = b"\2" if union else b""
    words = [branch + _one_text(text) for text in values.to_pylist()]
    return _joined([*words, b"\0"] if union else words)


def _joined(words: list[bytes]) -> tuple[Bytes, Ints]:
    """Words one after the other, with room behind them, and where each begins."""
    offsets = np.append(0, np.cumsum([len(word) for word in words], dtype=np.int64))
    return np.frombuffer(b"".join(words) + bytes(32), np.uint8), offsets


def raw(column: pa.ChunkedArray) -> tuple[Bytes, Ints]:
    """The bytes of a text column, with room behind them, and where each row begins."""
    whole = pa.concat_arrays([*column.chunks, pa.array(["-" * 32])])
    offsets = np.frombuffer(whole.buffers()[1], np.int32)[: len(whole) + 1]
    return np.frombuffer(whole.buffers()[2], np.uint8), offsets.astype(np.int64)
