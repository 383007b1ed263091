"""The small world in the topics of a broker, in every form that a message may have."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
from kafka import KafkaProducer

from infra.kafka import Broker
from pipelines.drivers.direct import DirectSettings
from pipelines.sources.kafka.single_object import header_of
from schemas.events import avro_schema
from schemas.spec import Spec
from tests.kafka_topics import create_topics, with_own_topics
from tests.pipeline.small_world import Events, small_spec

Row = dict[str, Any]
Encode = Callable[[Spec, str, list[Row]], Iterator[bytes]]

PARTITIONS = 3


def kafka_spec(idle_ms: int = 500) -> Spec:
    """The small world's spec with topics of its own, whose partitions soon fall idle."""
    spec = with_own_topics(small_spec())
    return replace(spec, time=replace(spec.time, idle_ms=idle_ms))


def topics_of(spec: Spec) -> list[str]:
    return [stream.topic for stream in spec.streams.values()]


def as_json(spec: Spec, stream: str, rows: list[Row]) -> Iterator[bytes]:
    """One event a message."""
    return (json.dumps(row, ensure_ascii=False).encode() for row in rows)


def as_datums(spec: Spec, stream: str, rows: list[Row]) -> Iterator[bytes]:
    """One event a message, as Avro."""
    schema = avro_schema(spec, stream)
    header, parsed = header_of(schema), fastavro.parse_schema(schema)
    for row in rows:
        out = io.BytesIO(header)
        out.seek(len(header))
        fastavro.schemaless_writer(out, parsed, row)
        yield out.getvalue()


def as_containers(spec: Spec, stream: str, rows: list[Row]) -> Iterator[bytes]:
    """Thirty events a message."""
    parsed = fastavro.parse_schema(avro_schema(spec, stream))
    for at in range(0, len(rows), 30):
        out = io.BytesIO()
        fastavro.writer(out, parsed, rows[at : at + 30], "deflate")
        yield out.getvalue()


def mixed(spec: Spec, stream: str, rows: list[Row]) -> Iterator[bytes]:
    """All forms in turn, in order of time."""
    for at in range(0, len(rows), 60):
        some = rows[at : at + 60]
        yield from as_json(spec, stream, some[:20])
        yield from as_datums(spec, stream, some[20:40])
        yield from as_containers(spec, stream, some[40:])


def in_time_order(events: Events) -> Events:
    """What a partition can hold without that anything in it is late."""
    return {s: sorted(rows, key=lambda row: row["time_ms"]) for s, rows in events.items()}


def publish(
    broker: Broker,
    spec: Spec,
    events: Events,
    encode: Encode = as_json,
    partitions: int = PARTITIONS,
) -> None:
    """Deal each stream's events out to the partitions of its topic, all streams together."""
    with KafkaProducer(bootstrap_servers=broker.address, linger_ms=20) as producer:
        sent = [
            producer.send(spec.streams[stream].topic, value, partition=partition)
            for partition in range(partitions)
            for stream, rows in in_time_order(events).items()
            for value in encode(spec, stream, rows[partition::partitions])
        ]
        for one in sent:
            one.get(60)


def prepared(broker: Broker, spec: Spec) -> None:
    """The topics of a spec, empty."""
    create_topics(broker, topics_of(spec), PARTITIONS)


def kafka_settings(broker: Broker, spec: Spec, folder: Path, **changes: Any) -> DirectSettings:
    """A complete run over the topics into `folder/windows`."""
    base = DirectSettings(
        spec=spec,
        source=f"kafka://{broker.address}",
        windows=folder / "windows",
        state=folder / "state",
        shards=3,
        final=True,
        poll_s=0.2,
    )
    return replace(base, **changes)


def letters_in(folder: Path) -> Counter[str]:
    """The letters that a run left in `folder/windows`, named as its totals name them."""
    files = sorted((folder / "windows" / "dead_letters").glob("*.parquet"))
    tables = [pq.read_table(path, columns=["stream", "reason"]).to_pylist() for path in files]
    return Counter(f"dead/{row['stream']}/{row['reason']}" for rows in tables for row in rows)
