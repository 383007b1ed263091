"""One line of JSON to one typed row, for lines that a block parser refuses.

Slow, but it says what is wrong. Numbers may be `NaN` or `Infinity`; of a repeated key, the last
one counts; an id that is a number has the wrong type.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import types

from pipelines.validate.kinds import EXPOSED, IDS, POSITION_LIMIT, TIME

_LONGEST_INTEGER = 1000
_HUGE = 2**63
_ESCAPED_SURROGATE = re.compile(r"\\u[dD]")


Column = Callable[[list[Any]], list[Any]]
"""Takes the values of one field, None where absent, to its declared type. Raises WrongType."""


Look = Callable[[Any], bool]
"""Whether a value has the types of a field."""


Gap = Callable[[list[Any]], str | None]
"""Finds the path of a required field that some of the values lack."""


class WrongType(Exception):
    """A field holds a value of another type; the argument is its path."""


@dataclass(frozen=True)
class Fault:
    """Why a line is no typed row."""

    reason: str
    path: str | None = None


def _integer(text: str) -> int | float:
    return int(text) if len(text) < _LONGEST_INTEGER else float(text)


_DECODER = json.JSONDecoder(parse_int=_integer)
_LOOK = json.JSONDecoder()


class LineReader:
    """Reads lines of one stream; `declared` is its schema, `latest_ms` where the future begins."""

    def __init__(self, declared: pa.Schema, latest_ms: int) -> None:
        self._latest_ms = latest_ms
        self._columns = [(field.name, _column(field, field.name)) for field in declared]
        self._looks = [(field.name, _look(field)) for field in declared]
        self._gaps = [(field.name, _gap(field, field.name)) for field in declared]

    def suspects(self, line: bytes) -> bool:
        """Whether a block parser might refuse the line: a quick look, which may err."""
        text = line.decode()
        if "\\" in text and _ESCAPED_SURROGATE.search(text):
            return True
        try:
            event = _LOOK.decode(text)
        except ValueError:
            return True
        return not all(fits(event.get(name)) for name, fits in self._looks)

    def row(self, line: bytes) -> dict[str, Any] | Fault:
        """The line, not too deep, as a row of the loose schema, or the first reason against it.

        Fields that are absent are None: whether they may be is not decided here, unless another
        field has the wrong type.
        """
        text = line.decode("utf-8", "surrogateescape")
        try:
            event = _DECODER.decode(text)
        except ValueError:
            return Fault("bad_json")
        if isinstance(event, dict) and _is_future(event.get(TIME), self._latest_ms):
            return Fault("future", TIME)
        if not _is_utf8(text, event):
            return Fault("bad_utf8")
        return self._typed(event) if isinstance(event, dict) else Fault("not_an_object")

    def _typed(self, event: dict[str, Any]) -> dict[str, Any] | Fault:
        try:
            return {name: column([event.get(name)])[0] for name, column in self._columns}
        except WrongType as wrong:
            missing = _first(gap([event.get(name)]) for name, gap in self._gaps)
            return Fault("missing_field", missing) if missing else Fault("wrong_type", str(wrong))


def _is_future(value: object, latest_ms: int) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    time_ms = _number(value)
    return math.isfinite(time_ms) and math.floor(time_ms) > latest_ms


def _is_utf8(text: str, event: object) -> bool:
    """Whether text and event hold no lone surrogate, raw or escaped."""
    try:
        if not text.isascii():
            text.encode()
        if "\\" in text and "\\ud" in text.lower():
            json.dumps(event, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _column(field: pa.Field, path: str) -> Column:
    """What turns the values of a field, over all elements, into its declared type."""
    if types.is_list(field.type):
        return _list_column(_column(field.type.value_field, path), path)
    if types.is_struct(field.type):
        parts = [(part.name, _column(part, f"{path}.{part.name}")) for part in field.type]
        return _struct_column(parts, path)
    allowed, convert = _leaf(field)

    def read(values: list[Any]) -> list[Any]:
        _require(values, allowed, path)
        if convert is None:
            return values
        return [None if value is None else convert(value, path) for value in values]

    return read


def _look(field: pa.Field) -> Look:
    """Whether a value has the JSON types that a field allows."""
    if types.is_list(field.type):
        items = _look(field.type.value_field)
        return lambda value: value is None or (type(value) is list and all(map(items, value)))
    if types.is_struct(field.type):
        parts = [(part.name, _look(part)) for part in field.type]
        return lambda value: (
            value is None
            or (type(value) is dict and all(fits(value.get(name)) for name, fits in parts))
        )
    allowed = {*_leaf(field)[0], type(None)}
    if int in allowed:
        return lambda value: value is None or (type(value) in allowed and abs(value) < _HUGE)
    return lambda value: type(value) in allowed


def _list_column(items: Column, path: str) -> Column:
    def read(values: list[Any]) -> list[Any]:
        _require(values, {list}, path)
        flat = iter(items([one for value in values if value for one in value]))
        return [None if value is None else [next(flat) for _ in value] for value in values]

    return read


def _struct_column(parts: list[tuple[str, Column]], path: str) -> Column:
    def read(values: list[Any]) -> list[Any]:
        _require(values, {dict}, path)
        objects = [value or {} for value in values]
        columns = [column([one.get(name) for one in objects]) for name, column in parts]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return [row if value is not None else None for row, value in zip(rows, values, strict=True)]

    names = [name for name, _ in parts]
    return read


def _require(values: list[Any], allowed: set[type], path: str) -> None:
    if not {type(value) for value in values} <= allowed | {type(None)}:
        raise WrongType(path)


def _leaf(field: pa.Field) -> tuple[set[type], Callable[[Any, str], Any] | None]:
    """The types that JSON may give a plain field, and what remains to be done with a value."""
    if types.is_string(field.type):
        return {str}, None
    if types.is_boolean(field.type):
        return {bool}, None
    if field.name == TIME:
        return {int, float}, _time
    if types.is_integer(field.type):
        return {int}, lambda value, path: max(-1, min(value, POSITION_LIMIT + 1))
    return {int, float}, lambda value, path: _number(value)


def _time(value: int | float, path: str) -> float:
    number = _number(value)
    if not math.isfinite(number):
        raise WrongType(path)
    return number


def _number(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _gap(field: pa.Field, path: str) -> Gap:
    """What finds the first required field, in the schema's order, that some value lacks."""
    inner = _inner_gap(field.type, path)
    required, name = not field.nullable, field.name

    def find(values: list[Any]) -> str | None:
        if required and any(_is_missing(value, name) for value in values):
            return path
        return inner(values)

    return find


def _inner_gap(kind: pa.DataType, path: str) -> Gap:
    if types.is_list(kind):
        items = _gap(kind.value_field, path)
        return lambda values: items([one for each in values if type(each) is list for one in each])
    if not types.is_struct(kind):
        return lambda values: None
    parts = [(part.name, _gap(part, f"{path}.{part.name}")) for part in kind]

    def find(values: list[Any]) -> str | None:
        objects = [value for value in values if type(value) is dict]
        return _first(find([one.get(name) for one in objects]) for name, find in parts)

    return find


def _first(gaps: Iterable[str | None]) -> str | None:
    return next((gap for gap in gaps if gap is not None), None)


def _is_missing(value: object, name: str) -> bool:
    if name == EXPOSED:
        return False
    return value is None or (value == "" and name in IDS)
