"""One TOML table that knows where it stands, so that every complaint names file and key."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.durations import parse_duration_ms
from schemas.errors import SpecError

REQUIRED: Any = object()


def near_match(word: str, known: Collection[str]) -> str:
    """A hint such as ` (did you mean 'click'?)`, or the choices if nothing is near."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(sorted(known)) or 'none'})"


@dataclass
class Table:
    """A TOML table read key by key; `finish` refuses what nobody asked for."""

    file: str
    path: str
    values: Mapping[str, Any]
    seen: set[str] = field(default_factory=set)

    def fail(self, key: str, expected: str, received: object, hint: str = "") -> SpecError:
        """The error for one key, ready to raise."""
        where = f"{self.path}.{key}" if self.path else key
        return SpecError(f"{self.file}: {where}: expected {expected}, received {received!r}{hint}")

    def take(self, key: str, kind: type | tuple[type, ...], expected: str, default: Any) -> Any:
        """The value of a key, checked for its type. Booleans are not numbers."""
        self.seen.add(key)
        if key not in self.values:
            if default is REQUIRED:
                raise self.missing(key, expected)
            return default
        value = self.values[key]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.fail(key, expected, value)
        return value

    def missing(self, key: str, expected: str) -> SpecError:
        """The error for an absent key, with the unread key that looks most like it."""
        unread = [name for name in self.values if name not in self.seen]
        close = difflib.get_close_matches(key, unread, n=1)
        hint = f" (is {close[0]!r} a slip?)" if close else ""
        where = f"{self.path}.{key}" if self.path else key
        return SpecError(f"{self.file}: {where}: expected {expected}, received nothing{hint}")

    def text(self, key: str, default: Any = REQUIRED) -> str:
        return str(self.take(key, str, "a string", default))

    def optional_text(self, key: str) -> str | None:
        value: str | None = self.take(key, str, "a string", None)
        return value

    def flag(self, key: str, default: bool) -> bool:
        return bool(self.take(key, bool, "true or false", default))

    def count(self, key: str, default: Any = REQUIRED, least: int = 0) -> int:
        value = self.take(key, int, f"a whole number of {least} or more", default)
        if value < least:
            raise self.fail(key, f"a whole number of {least} or more", value)
        return int(value)

    def duration_ms(self, key: str, default: Any = REQUIRED) -> int:
        text = self.take(key, str, "a duration such as '90s', '6h' or '1d'", default)
        try:
            return parse_duration_ms(text)
        except ValueError as error:
            expected = "a duration such as '90s', '6h' or '1d'"
            raise self.fail(key, expected, text) from error

    def choice(self, key: str, choices: Collection[str], default: Any = REQUIRED) -> str:
        value = self.take(key, str, f"one of {', '.join(choices)}", default)
        if value not in choices:
            raise self.fail(key, f"one of {', '.join(choices)}", value, near_match(value, choices))
        return str(value)

    def names(self, key: str, default: Any = REQUIRED) -> tuple[str, ...]:
        """A list of distinct, non-empty strings."""
        values = self.take(key, list, "a list of strings", default)
        for value in values:
            if not isinstance(value, str) or not value:
                raise self.fail(key, "a list of non-empty strings", value)
        if len(set(values)) != len(values):
            twice = next(value for value in values if list(values).count(value) > 1)
            raise self.fail(key, "each name once", twice)
        return tuple(values)

    def names_among(
        self, key: str, known: Collection[str], what: str, default: Any = REQUIRED
    ) -> tuple[str, ...]:
        """A list of strings, each of which must be known."""
        values = self.names(key, default)
        for value in values:
            if value not in known:
                raise self.fail(key, f"the name of {what}", value, near_match(value, known))
        return values

    def tables(self, key: str, default: Any = REQUIRED) -> dict[str, "Table"]:
        """A table of tables, in order of their names, whatever their order in the file."""
        values = self.take(key, dict, "a table of tables", default)
        return {name: self.child(key, name, value) for name, value in sorted(values.items())}

    def child(self, key: str, name: str, value: object) -> "Table":
        path = f"{self.path}.{key}.{name}" if self.path else f"{key}.{name}"
        if not isinstance(value, dict):
            raise SpecError(f"{self.file}: {path}: expected a table, received {value!r}")
        return Table(self.file, path, value)

    def table(self, key: str, default: Any = REQUIRED) -> "Table":
        """One table."""
        values = self.take(key, dict, "a table", default)
        return Table(self.file, f"{self.path}.{key}" if self.path else key, values)

    def finish(self) -> None:
        """Raise SpecError if a key was never read: it is a slip or belongs elsewhere."""
        for name in self.values:
            if name not in self.seen:
                where = f"{self.path}.{name}" if self.path else name
                hint = near_match(name, self.seen)
                raise SpecError(f"{self.file}: {where}: expected no such key{hint}")
