"""Event tables as Kafka messages: one event a message, or an Avro container of many.

The partition follows from the user: XXH3-64 of the user id, read as unsigned, modulo the number
of partitions; of an item event, from the item. So a user's events of one stream stay in order.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
from pyruhvro import serialize_record_batch

from pipelines.replay.avro import container
from pipelines.sources.kafka.single_object import header_of
from pipelines.sources.raw import Int64Array
from schemas.events import avro_schema
from schemas.hashing import hash_strings, shard_of
from schemas.spec import Spec

MessageFormat = Literal["json", "avro"]


@dataclass(frozen=True)
class Message:
    """One message; a container holds events of several users and has no key."""

    value: bytes
    key: bytes | None
    partition: int
    timestamp_ms: int


@dataclass(frozen=True)
class Encoder:
    """How events become messages. With `pack` up to so many, all Avro, share one."""

    spec: Spec
    message_format: MessageFormat
    pack: int | None = None

    def messages(self, stream: str, table: pa.Table, partitions: int) -> Iterator[Message]:
        """The messages of a table, in its order within each partition."""
        ids = table[self._key(stream)]
        partition = shard_of(hash_strings(ids), partitions)
        if self.pack is not None:
            yield from self._packs(stream, table, partition, self.pack)
            return
        keys, times = ids.to_pylist(), table["time_ms"].to_pylist()
        values = self._json(table) if self.message_format == "json" else self._avro(stream, table)
        for value, key, number, time_ms in zip(
            values, keys, partition.tolist(), times, strict=True
        ):
            yield Message(value, key.encode(), number, time_ms)

    def _key(self, stream: str) -> str:
        return "item_id" if self.spec.streams[stream].kind == "item" else "user_id"

    def _json(self, table: pa.Table) -> list[bytes]:
        return pl.DataFrame(table).write_ndjson().encode().split(b"\n")[:-1]

    def _avro(self, stream: str, table: pa.Table) -> list[bytes]:
        schema = avro_schema(self.spec, stream)
        header, text = header_of(schema), json.dumps(schema)
        batches = table.combine_chunks().to_batches()
        datums = [one for batch in batches for one in serialize_record_batch(batch, text, 1)]
        return [header + datum for part in datums for datum in part.to_pylist()]

    def _packs(
        self, stream: str, table: pa.Table, partition: Int64Array, pack: int
    ) -> Iterator[Message]:
        schema = avro_schema(self.spec, stream)
        order = np.argsort(partition, kind="stable")
        sorted_, numbers = table.take(pa.array(order)), partition[order]
        for number in np.unique(numbers).tolist():
            start, stop = np.searchsorted(numbers, [number, number + 1])
            for at in range(start, stop, pack):
                part = sorted_.slice(at, min(pack, stop - at))
                newest_ms = pa.compute.max(part["time_ms"]).as_py()
                yield Message(b"".join(container(part, schema)), None, number, newest_ms)
