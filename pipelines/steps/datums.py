"""Events as Avro datums under the spec's schema, for the rare ties that their digests break."""

import hashlib
import json

import pyarrow as pa
import pyruhvro

from schemas.events import arrow_schema, avro_schema
from schemas.spec import Spec


def avro_digests(events: pa.Table, spec: Spec, stream: str) -> list[bytes]:
    """SHA-256 of each event's Avro datum, in order of rows."""
    schema = arrow_schema(spec, stream)
    rows = events.select(schema.names).cast(schema).combine_chunks().to_batches()
    text = json.dumps(avro_schema(spec, stream))
    return [
        hashlib.sha256(datum.as_buffer()).digest()
        for batch in rows
        for chunk in pyruhvro.serialize_record_batch(batch, text, 1)
        for datum in chunk
    ]
