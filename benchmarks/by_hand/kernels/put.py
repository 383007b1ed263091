"""Words and columns of words as Avro has them; each `put` returns where it ends."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ONE, ZERO = np.uint64(0x3FF0000000000000), np.uint64(0)
"""The bits of 1.0 and of 0.0."""


@intrinsic
def copy16(typing, to, at, source, begin):  # type: ignore[no-untyped-def] # noqa: ARG001
    """Copy 16 bytes at once, wherever they lie; what follows may overwrite the surplus."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(128).as_pointer()
        ends = []
        for array, place in ((0, 1), (2, 3)):
            struct = context.make_array(signature.args[array])(context, builder, args[array])
            ends.append(builder.bitcast(builder.gep(struct.data, [args[place]]), word))
        builder.store(builder.load(ends[1], align=1), ends[0], align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp), codegen


@intrinsic
def store8(typing, to, at, value):  # type: ignore[no-untyped-def] # noqa: ARG001
    """Store 8 bytes at once, wherever they go."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(struct.data, [args[1]])
        builder.store(args[2], builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, types.uint64), codegen


@njit(cache=True)
def put_long(out, at, value):  # type: ignore[no-untyped-def]
    """Avro's zigzag varint; returns where it ends."""
    left = np.uint64((value << 1) ^ (value >> 63))
    while left > np.uint64(0x7F):
        out[at] = np.uint8(left & np.uint64(0x7F)) | np.uint8(0x80)
        left >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(left)
    return at + 1


@njit(cache=True)
def put_bytes(out, at, source, begin, end):  # type: ignore[no-untyped-def]
    """A run of bytes; returns where it ends."""
    for step in range(0, end - begin, 16):
        copy16(out, at + step, source, begin + step)
    return at + end - begin


@njit(cache=True)
def put_text(out, at, source, begin, end):  # type: ignore[no-untyped-def]
    """A string with its length; returns where it ends."""
    return put_bytes(out, put_long(out, at, end - begin), source, begin, end)


@njit(cache=True)
def put_nulls(out, at, count):  # type: ignore[no-untyped-def]
    """So many nulls, mostly fewer than nine."""
    for step in range(0, count, 8):
        store8(out, at + step, ZERO)
    return at + count


@njit(cache=True)
def put_ones(out, at, count):  # type: ignore[no-untyped-def]
    """The probabilities, all 1."""
    at = put_long(out, at, count)
    for _ in range(count):
        store8(out, at, ONE)
        at += 8
    out[at] = 0
    return at + 1


@njit(cache=True)
def put_longs(values, prefix):  # type: ignore[no-untyped-def]
    """Each value as a long, behind a union's branch if `prefix`; then a null: 16 bytes each."""
    words = np.zeros((len(values) + 2) * 16, np.uint8)
    sizes = np.ones(len(values) + 1, np.int64)
    for row in range(len(values)):
        at = row * 16
        if prefix:
            words[at] = 2
            at += 1
        sizes[row] = put_long(words, at, values[row]) - row * 16
    return words, sizes


@njit(cache=True)
def put_column(words, sizes, codes):  # type: ignore[no-untyped-def]
    """The words of a column one after the other, and where each begins."""
    offsets = np.zeros(len(codes) + 1, np.int64)
    for row in range(len(codes)):
        offsets[row + 1] = offsets[row] + sizes[codes[row]]
    out = np.empty(offsets[-1] + 32, np.uint8)
    for row in range(len(codes)):
        copy16(out, offsets[row], words, codes[row] * 16)
    return out, offsets


@njit(cache=True)
def put_times(times):  # type: ignore[no-untyped-def]
    """Times as a column of longs."""
    offsets = np.zeros(len(times) + 1, np.int64)
    out = np.empty(len(times) * 10 + 32, np.uint8)
    for row in range(len(times)):
        offsets[row + 1] = put_long(out, offsets[row], times[row])
    return out, offsets
