"""Text that repeats, between reading and sealing: each value once, and numbers that point at it.

Rows that move then move as numbers, and a word is checked and hashed once however often it occurs.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyarrow import types

from schemas.events import arrow_schema
from schemas.spec import Spec

WORD = pa.dictionary(pa.int32(), pa.string())

_DISTINCT = ("request_id", "user_id")
"""Text of exposures that does not repeat, or hardly."""


def carried_schema(spec: Spec, stream: str) -> pa.Schema:
    """A stream's events as they travel: most text of exposures is of words."""
    schema = arrow_schema(spec, stream)
    is_exposure = spec.streams[stream].kind == "exposure"
    return pa.schema([_carried(field) for field in schema]) if is_exposure else schema


def word_columns(spec: Spec, stream: str) -> tuple[str, ...]:
    """Which columns that are, those of candidates after `candidates.`."""
    names = []
    for field in carried_schema(spec, stream):
        parts = field.type.value_type if _is_list_of_structs(field.type) else ()
        names += [field.name] if field.type == WORD else []
        names += [f"{field.name}.{part.name}" for part in parts if part.type == WORD]
    return tuple(names)


def _carried(field: pa.Field) -> pa.Field:
    if types.is_string(field.type) and field.name not in _DISTINCT:
        return field.with_type(WORD)
    if _is_list_of_structs(field.type):
        item = field.type.value_field
        parts = pa.struct([_carried(part) for part in item.type])
        return field.with_type(pa.list_(item.with_type(parts)))
    return field


def _is_list_of_structs(kind: pa.DataType) -> bool:
    return types.is_list(kind) and types.is_struct(kind.value_type)


def repeated(word: str, times: int) -> pa.DictionaryArray:
    """The same word over and over."""
    return pa.DictionaryArray.from_arrays(np.zeros(times, np.int32), pa.array([word]))


def by_word(values: pa.Array, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """What the function gives for each value; of words it is asked once for each distinct one."""
    if types.is_dictionary(values.type):
        return function(values.dictionary).take(values.indices)
    return function(values)


def trimmed(array: pa.Array) -> pa.Array:
    """The same, without words that no value points at if these are more than the values.

    A few rows out of a large table share its words: whoever writes them down writes all of these.
    """
    kind = array.type
    if types.is_dictionary(kind) and len(array.dictionary) > len(array):
        return array.cast(pa.string()).dictionary_encode()
    if _is_list_of_structs(kind):
        items = array.flatten()
        first = array.offsets[0].as_py()
        offsets = pa.compute.subtract(array.offsets, first)
        parts = [trimmed(items.field(at)) for at in range(kind.value_type.num_fields)]
        structs = pa.StructArray.from_arrays(parts, fields=list(kind.value_type))
        return pa.ListArray.from_arrays(offsets, structs, type=kind)
    return array
