"""Raw columns, brought to their declared types and flattened: one node a field or list element.

A node's elements are rows of the table at the top, list elements below; each knows its event.
What has the wrong type becomes null and is remembered as wrong, so that no check sees it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sources.raw import Int64Array, Rows
from pipelines.validate.convert import Converted, convert
from pipelines.words import by_word

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Node:
    """One declared field, or the elements of one, over all events of a block.

    `field` is as declared; `values` has n elements, null where absent or unusable, text plain or
    by word; `excused` are nulls that another reason explains; `offsets`, of a list, says where
    each list starts in its child, shape [n + 1]; `events` maps element numbers to event numbers.
    """

    path: str
    field: pa.Field
    values: pa.Array
    wrong: BoolArray | None
    bad_utf8: BoolArray | None
    excused: BoolArray | None
    events: Callable[[Int64Array], Int64Array]
    offsets: Int64Array | None = None
    children: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """This node and those below it, in the order of the schema."""
        yield self
        for child in self.children:
            yield from child.walk()

    @cached_property
    def missing(self) -> BoolArray | None:
        """Elements that hold nothing, wrong ones aside; None if all hold something."""
        if not self.values.null_count:
            return None
        absent = mask_of(self.values.is_null())
        return absent if self.excused is None else absent & ~self.excused

    @cached_property
    def lengths(self) -> pa.Array:
        """Of a string node: bytes in each value."""
        return by_word(self.values, pc.binary_length)

    def build(self, kind: pa.DataType) -> pa.Array:
        """The column in the type in which it travels, and with its nullability."""
        if self.offsets is not None:
            return self._build_list(self.offsets, kind)
        if self.children:
            arrays = [
                child.build(part.type) for child, part in zip(self.children, kind, strict=True)
            ]
            return pa.StructArray.from_arrays(arrays, fields=list(kind))
        return self.values if self.values.type == kind else self.values.cast(kind)

    def _build_list(self, offsets: Int64Array, kind: pa.DataType) -> pa.Array:
        starts = pa.array(offsets.astype(np.int32))
        absent = self.values.is_null() if self.values.null_count else None
        items = self.children[0].build(kind.value_type)
        return pa.ListArray.from_arrays(starts, items, type=kind, mask=absent)


def mask_of(booleans: pa.Array) -> BoolArray:
    """A boolean Arrow array without nulls as numpy."""
    return np.asarray(booleans.to_numpy(zero_copy_only=False), np.bool_)


def nodes_of(rows: Rows, schema: pa.Schema) -> tuple[Node, ...]:
    """The top nodes of one block, one for each declared field."""
    return tuple(_top(rows, field) for field in schema)


def _top(rows: Rows, field: pa.Field) -> Node:
    found = rows.table.schema.get_all_field_indices(field.name)
    column = _whole(rows.table.column(found[-1])) if found else pa.nulls(len(rows.positions))
    return _node(field.name, field, column, None, lambda events: events)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    merged = column.combine_chunks()
    return pa.concat_arrays(merged.chunks) if isinstance(merged, pa.ChunkedArray) else merged


def _node(
    path: str,
    field: pa.Field,
    column: pa.Array,
    excused: BoolArray | None,
    events: Callable[[Int64Array], Int64Array],
) -> Node:
    got = convert(column, field)
    excused = _either(excused, _either(got.wrong, got.bad_utf8))
    node = Node(path, field, got.values, got.wrong, got.bad_utf8, excused, events)
    if got.items is not None:
        return _list_node(node, got)
    if not pa.types.is_struct(field.type):
        return node
    parts = [
        _node(f"{path}.{part.name}", part, got.parts[part.name], excused, events)
        for part in field.type
    ]
    return replace(node, children=tuple(parts))


def _list_node(node: Node, got: Converted) -> Node:
    offsets = got.offsets
    assert offsets is not None and got.items is not None

    def events(elements: Int64Array) -> Int64Array:
        return node.events(np.searchsorted(offsets, elements, side="right") - 1)

    child = _node(node.path, node.field.type.value_field, got.items, None, events)
    return replace(node, offsets=offsets, children=(child,))


def _either(left: BoolArray | None, right: BoolArray | None) -> BoolArray | None:
    if left is None or right is None:
        return right if left is None else left
    return left | right
