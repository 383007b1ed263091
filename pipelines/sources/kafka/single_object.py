"""Avro single-object encoding: a marker, the fingerprint of the writer's schema, one datum.

Avro 1.11 specification, "Single-object encoding" and "Schema Fingerprints".
"""

import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form
from pyruhvro import deserialize_array, serialize_record_batch

from pipelines.sources.raw import Int64Array

MARKER = b"\xc3\x01"
HEADER_BYTES = 10

AvroSchema = dict[str, Any]
BoolArray = npt.NDArray[np.bool_]

_Part = tuple[pa.RecordBatch, Int64Array]
"""Rows, and the number of the datum of each."""

_FEW = 64
"""Of so many datums each is looked at alone before another attempt at once."""


def header_of(schema: AvroSchema) -> bytes:
    """What precedes every datum of a schema: marker and CRC-64-AVRO, little endian."""
    text = to_parsing_canonical_form(schema)
    return MARKER + bytes.fromhex(fingerprint(text, "CRC-64-AVRO"))


def decode_datums(datums: list[bytes], schema: AvroSchema) -> tuple[pa.Table, Int64Array]:
    """The datums that hold just what the schema says, as rows, and the number of each."""
    return _Datums(datums, schema).whole()


class _Datums:
    """Datums of one schema, each known by its number."""

    def __init__(self, datums: list[bytes], schema: AvroSchema) -> None:
        self._datums = datums
        self._text = json.dumps(schema)
        self._schema = parse_schema(schema)

    def whole(self) -> tuple[pa.Table, Int64Array]:
        """Rows of the datums that end where their last field does; the decoder ignores the rest."""
        parts = [part for part in self._read(np.arange(len(self._datums))) if len(part[1])]
        if not parts:
            return pa.table({}), np.empty(0, np.int64)
        numbers = np.concatenate([numbers for _, numbers in parts])
        table = pa.Table.from_batches([batch for batch, _ in parts])
        whole = self._are_whole(table, numbers)
        return table.filter(pa.array(whole)), numbers[whole]

    def _read(self, numbers: Int64Array) -> list[_Part]:
        """Rows of the datums that can be read: all at once, or in halves.

        Of a few, those that look good at once and the others alone.
        """
        part = self._at_once(numbers)
        if part is not None:
            return [part]
        if len(numbers) > _FEW:
            half = len(numbers) // 2
            return self._read(numbers[:half]) + self._read(numbers[half:])
        good = np.array([self._ends(number) for number in numbers.tolist()])
        together = self._at_once(numbers[good])
        alone = numbers[~good] if together else numbers
        parts = [together, *(self._at_once(alone[at : at + 1]) for at in range(len(alone)))]
        return [part for part in parts if part is not None]

    def _at_once(self, numbers: Int64Array) -> _Part | None:
        try:
            return deserialize_array(self._of(numbers), self._text), numbers
        except ValueError:
            return None

    def _are_whole(self, table: pa.Table, numbers: Int64Array) -> BoolArray:
        """Encoded again, a datum is what it was, unless its writer cut arrays into blocks: those
        are read once more.
        """
        (again,) = serialize_record_batch(table.combine_chunks().to_batches()[0], self._text, 1)
        same = pc.equal(again.cast(pa.binary()), pa.array(self._of(numbers), pa.binary()))
        whole = np.array(same.to_numpy(zero_copy_only=False), np.bool_)
        for at in np.flatnonzero(~whole).tolist():
            whole[at] = self._ends(numbers[at])
        return whole

    def _ends(self, number: int) -> bool:
        """Whether a slower decoder reads the datum, to its end."""
        datum = self._datums[number]
        stream = io.BytesIO(datum)
        try:
            schemaless_reader(stream, self._schema, None)
        except (ValueError, EOFError, IndexError, OverflowError):
            return False
        return stream.tell() == len(datum)

    def _of(self, numbers: Int64Array) -> list[bytes]:
        return [self._datums[number] for number in numbers.tolist()]
