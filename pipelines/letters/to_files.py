"""Replayed letters as files: a folder per stream, as the pipeline reads them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.letters.replay import Values
from pipelines.sources.avro_blocks import MAGIC
from pipelines.sources.kafka.single_object import HEADER_BYTES, MARKER, decode_datums, header_of
from schemas.durable import write_bytes
from schemas.events import avro_schema
from schemas.spec import Spec

UNKNOWN_SCHEMA = "an Avro datum that the spec cannot read: replay it to Kafka"
UNKNOWN_STREAM = "of a stream that the spec does not name"


@dataclass(frozen=True)
class ToFiles:
    """Writes below `root`. Names follow from content: to write the same again changes nothing.

    Events in JSON share one file an epoch and stream, each on a line of its own; a container is a
    file; single Avro datums become JSON.
    """

    root: Path
    spec: Spec

    def refusal(self, stream: str, value: bytes) -> str | None:
        """See `Target.refusal`."""
        if stream not in self.spec.streams:
            return UNKNOWN_STREAM
        if value.startswith(MARKER) and not self._datum(stream, value):
            return UNKNOWN_SCHEMA
        return None

    def send(self, epoch: int, values: Values) -> None:
        """See `Target.send`."""
        for stream, some in values.items():
            containers = [one for one in some if one.startswith(MAGIC)]
            lines = [self._line(stream, one) for one in some if not one.startswith(MAGIC)]
            if lines:
                self._write(stream, epoch, "jsonl", b"".join(line + b"\n" for line in lines))
            for one in containers:
                self._write(stream, epoch, "avro", one)

    def _write(self, stream: str, epoch: int, suffix: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()[:12]
        write_bytes(self.root / stream / f"dead-letters-{epoch:06d}-{digest}.{suffix}", content)

    def _line(self, stream: str, value: bytes) -> bytes:
        """One line, though a message may span several: in JSON no text holds the end of a line."""
        if value.startswith(MARKER):
            value = self._datum(stream, value)
        return value.replace(b"\r", b" ").replace(b"\n", b" ")

    def _datum(self, stream: str, value: bytes) -> bytes:
        """A single Avro datum as JSON; nothing if it is not what the spec says now."""
        schema = avro_schema(self.spec, stream)
        if not value.startswith(header_of(schema)):
            return b""
        table, numbers = decode_datums([value[HEADER_BYTES:]], schema)
        return pl.DataFrame(table).write_ndjson().encode().rstrip() if len(numbers) else b""
