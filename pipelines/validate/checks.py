"""The rules that make an event unusable, each on whole columns, in the order of the reasons."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from pipelines.sources.raw import Int64Array
from pipelines.validate.kinds import (
    ID_LIMIT_BYTES,
    IDS,
    POSITION_LIMIT,
    TEXT_LIMIT_BYTES,
    TIME,
    YEAR_10000_MS,
)
from pipelines.validate.nodes import BoolArray, Node, mask_of
from pipelines.validate.verdicts import Verdicts
from pipelines.words import by_word
from schemas.spec import FEEDBACK_KINDS, Spec


def check(top: tuple[Node, ...], spec: Spec, stream: str, now_ms: int, verdicts: Verdicts) -> None:
    """Refuse every unusable event of one block."""
    by_path = {node.path: node for node in top}
    nodes = [node for field in top for node in field.walk()]
    _future(by_path[TIME], now_ms + spec.time.max_ahead_ms, verdicts)
    _bad_utf8(nodes, verdicts)
    _missing_field(nodes, verdicts)
    _wrong_type(nodes, verdicts)
    _bad_time(by_path[TIME], verdicts)
    _too_long(nodes, verdicts)
    _unknown_names(by_path, spec, verdicts)
    if stream in spec.valued_streams():
        _missing_value(by_path["value"], verdicts)
    _out_of_vocabulary(nodes, spec, verdicts)
    _bad_number(nodes, verdicts)
    if "candidates" in by_path:
        _no_candidates(by_path["candidates"], verdicts)
        _bad_position(by_path["candidates"], verdicts)


def _refuse(verdicts: Verdicts, node: Node, at: BoolArray | None, reason: str) -> None:
    if at is not None and at.any():
        verdicts.refuse(node.events(np.flatnonzero(at)), reason, node.path)


def _where(condition: pa.Array) -> BoolArray:
    return mask_of(pc.fill_null(condition, False) if condition.null_count else condition)


def _future(time: Node, latest_ms: int, verdicts: Verdicts) -> None:
    _refuse(verdicts, time, _where(pc.greater(time.values, latest_ms)), "future")


def _bad_utf8(nodes: list[Node], verdicts: Verdicts) -> None:
    for node in nodes:
        _refuse(verdicts, node, node.bad_utf8, "bad_utf8")


def _missing_field(nodes: list[Node], verdicts: Verdicts) -> None:
    for node in nodes:
        if not node.field.nullable:
            _refuse(verdicts, node, node.missing, "missing_field")
            if _is_id(node) and pc.min(node.lengths).as_py() == 0:
                _refuse(verdicts, node, _where(pc.equal(node.lengths, 0)), "missing_field")


def _is_id(node: Node) -> bool:
    return node.field.name in IDS


def _wrong_type(nodes: list[Node], verdicts: Verdicts) -> None:
    for node in nodes:
        _refuse(verdicts, node, node.wrong, "wrong_type")


def _bad_time(time: Node, verdicts: Verdicts) -> None:
    outside = pc.or_(pc.less(time.values, 0), pc.greater_equal(time.values, YEAR_10000_MS))
    _refuse(verdicts, time, _where(outside), "bad_time")


def _too_long(nodes: list[Node], verdicts: Verdicts) -> None:
    for node in nodes:
        if types.is_string(node.field.type):
            limit = ID_LIMIT_BYTES if _is_id(node) else TEXT_LIMIT_BYTES
            if (pc.max(node.lengths).as_py() or 0) > limit:
                _refuse(verdicts, node, _where(pc.greater(node.lengths, limit)), "too_long")


def _unknown_names(by_path: dict[str, Node], spec: Spec, verdicts: Verdicts) -> None:
    if "scenario" in by_path:
        node = by_path["scenario"]
        _refuse(verdicts, node, _outside(node, spec.scenarios), "unknown_scenario")
    if "stream" in by_path:
        feedback = tuple(stream.name for stream in spec.of_kind(*FEEDBACK_KINDS))
        node = by_path["stream"]
        _refuse(verdicts, node, _outside(node, feedback), "unknown_stream")


def _outside(node: Node, known: tuple[str, ...]) -> BoolArray:
    names = pa.array(known, pa.string())
    found = by_word(node.values, lambda values: pc.is_in(values, value_set=names))
    return mask_of(pc.and_not(node.values.is_valid(), pc.fill_null(found, False)))


def _missing_value(value: Node, verdicts: Verdicts) -> None:
    finite = pc.fill_null(pc.is_finite(value.values), False)
    _refuse(verdicts, value, ~mask_of(finite), "missing_value")


def _out_of_vocabulary(nodes: list[Node], spec: Spec, verdicts: Verdicts) -> None:
    for node in nodes:
        feature = spec.features.get(node.path.rpartition(".")[2])
        if feature and feature.vocabulary and types.is_string(node.field.type):
            _refuse(verdicts, node, _outside(node, feature.vocabulary), "out_of_vocabulary")


def _bad_number(nodes: list[Node], verdicts: Verdicts) -> None:
    for node in nodes:
        if types.is_floating(node.field.type):
            finite = pc.is_finite(node.values)
            if pc.all(finite).as_py() is False:
                _refuse(verdicts, node, _where(pc.invert(finite)), "bad_number")


def _no_candidates(candidates: Node, verdicts: Verdicts) -> None:
    assert candidates.offsets is not None
    _refuse(verdicts, candidates, np.diff(candidates.offsets) == 0, "no_candidates")


def _bad_position(candidates: Node, verdicts: Verdicts) -> None:
    """Positions outside 0 to 2^31 - 1, and positions held twice in one list."""
    assert candidates.offsets is not None
    position = next(node for node in candidates.walk() if node.path == "candidates.position")
    places = position.values.fill_null(-1).to_numpy(zero_copy_only=False)
    outside = (places < 0) | (places > POSITION_LIMIT)
    _refuse(verdicts, position, outside, "bad_position")
    twice = _held_twice(places, candidates.offsets)
    verdicts.refuse(twice, "bad_position", position.path)


def _held_twice(places: Int64Array, offsets: Int64Array) -> Int64Array:
    """Numbers of the lists in which some position occurs more than once.

    Lists in rising order, the rule in logs, are seen at a glance; only others are sorted.
    """
    if len(places) < 2:
        return np.empty(0, np.int64)
    falls = np.diff(places) <= 0
    starts = offsets[1:-1]
    falls[starts[(starts > 0) & (starts < len(places))] - 1] = False
    if not falls.any():
        return np.empty(0, np.int64)
    lists = np.unique(np.searchsorted(offsets, np.flatnonzero(falls), side="right") - 1)
    counts = offsets[lists + 1] - offsets[lists]
    owner = np.repeat(lists, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.lexsort((places[np.repeat(offsets[lists], counts) + within], owner))
    held = places[np.repeat(offsets[lists], counts) + within][order]
    same = (held[1:] == held[:-1]) & (owner[order][1:] == owner[order][:-1])
    return np.unique(owner[order][1:][same])
