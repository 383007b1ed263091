"""Messages of the small world, one in three of them damaged in some way that the world knows."""

import io
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import fastavro

from schemas.events import avro_schema
from schemas.spec import Spec
from tests.pipeline.kafka_world import Row, as_datums
from tests.pipeline.small_world import small_world

STREAMS = ("exposure", "click", "buy", "refund", "item")
Message = tuple[str, bytes | None]
"""A stream and what is sent to its topic."""


def healthy(spec: Spec, seed: int) -> Iterator[Message]:
    """Events of the last minutes without end, each a message in one of three forms."""
    rng = random.Random(seed)
    base_ms = time.time_ns() // 1_000_000 - 600_000
    while True:
        for stream, rows in small_world(rng.randrange(1 << 30), requests=400).items():
            for row in rows:
                yield stream, encoded(spec, stream, moved(row, base_ms, rng), rng)


def moved(row: Row, base_ms: int, rng: random.Random) -> Row:
    """The event near to now, of a user and a request that no other world has."""
    marked = dict(row)
    for name in ("request_id", "event_id"):
        if marked.get(name):
            marked[name] = f"{marked[name]}-{rng.randrange(1 << 20)}"
    return marked | {"time_ms": base_ms + row["time_ms"]}


def encoded(spec: Spec, stream: str, row: Row, rng: random.Random) -> bytes:
    """JSON, a single Avro datum, or a container of one."""
    form = rng.random()
    if form < 0.6:
        return json.dumps(row, ensure_ascii=False).encode()
    if form < 0.9:
        return next(as_datums(spec, stream, [row]))
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(avro_schema(spec, stream)), [row])
    return out.getvalue()


def with_damage(
    messages: Iterator[Message], seed: int, longest: int = sys.maxsize
) -> Iterator[Message]:
    """The same, but one in three is damaged; it then has at most `longest` bytes."""
    rng = random.Random(seed)
    for number, (stream, value) in enumerate(messages):
        if number % 3:
            yield stream, value
        elif rng.random() < 0.1:
            yield rng.choice([one for one in STREAMS if one != stream]), value
        else:
            assert value is not None
            tries = (rng.choice(DAMAGES)(value, rng) for _ in count())
            yield stream, next(one for one in tries if one is None or len(one) <= longest)


def flipped(value: bytes, rng: random.Random) -> bytes:
    """One to eight bits are others."""
    data = bytearray(value)
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def truncated(value: bytes, rng: random.Random) -> bytes:
    return value[: rng.randrange(len(value))]


def doubled(value: bytes, rng: random.Random) -> bytes:
    """Two in one; a container's first half would still be read, and be more than one message."""
    return noise(value, rng) if value.startswith(b"Obj") else value + value


def of_another_schema(value: bytes, rng: random.Random) -> bytes:
    return b"\xc3\x01" + rng.randbytes(8) + value


def noise(value: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 400))


def nothing(value: bytes, rng: random.Random) -> bytes | None:
    return rng.choice([None, b"", b" ", b"null", b"[]", b"0", b'""'])


HOSTILE = (
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"user_id": "u", "user_id": 7}',
    b'{"time_ms": 1e400}',
    b'{"time_ms": NaN, "user_id": Infinity}',
    b'{"user_id": "\\ud800", "time_ms": 1}',
    b'{"user_id": "\x00", "time_ms": 1}',
    b"\xef\xbb\xbf{}",
    b'{"user_id": "u"}{"user_id": "v"}',
    b'{"user_id": "u",}',
    b"\n\n\n",
    b'{"value": ' + b"9" * 5_000 + b"}",
    b"Obj\x01",
    b"Obj\x01" + b"\xff" * 64,
    b"Obj\x01\x00" + bytes(16) + b"\x02\x80\x80\x80\x80\x10",
    b"\xc3\x01",
)
"""What breaks parsers: depth, double keys, numbers beyond all types, ends without a beginning."""


def hostile(value: bytes, rng: random.Random) -> bytes:
    return rng.choice(HOSTILE)


def changed(change: Callable[[Row, random.Random], None]) -> Callable[..., bytes]:
    """Damage to the fields of an event in JSON; of other forms some bits."""

    def damage(value: bytes, rng: random.Random) -> bytes:
        if not value.startswith(b"{"):
            return flipped(value, rng)
        row = json.loads(value)
        change(row, rng)
        return json.dumps(row).encode()

    return damage


def _giant(row: Row, rng: random.Random) -> None:
    row[rng.choice(sorted(row))] = "x" * rng.choice([5_000, 100_000, 400_000])


def _mistyped(row: Row, rng: random.Random) -> None:
    wrong: list[Any] = [None, True, 7, -1.5, "7", [], [[1]], {}, {"a": {"b": 1}}]
    row[rng.choice(sorted(row))] = rng.choice(wrong)


def _lost(row: Row, rng: random.Random) -> None:
    del row[rng.choice(sorted(row))]


def _absurd_time(row: Row, rng: random.Random) -> None:
    times = [-1, 0, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**30, 1.5, 1e300, "now", "2022"]
    row["time_ms"] = rng.choice(times)


DAMAGES: tuple[Callable[..., bytes | None], ...] = (
    flipped,
    truncated,
    doubled,
    of_another_schema,
    noise,
    nothing,
    hostile,
    changed(_giant),
    changed(_mistyped),
    changed(_lost),
    changed(_absurd_time),
)
