"""What became of a spec: how it grew, and what no pipeline can take over into its state.

Compared are the values of `spec_values`, for the older spec may be known from a state alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]

_FREE = ("time", "sequences.history", "sequences.recent")
"""Keys that act from the next epoch on and leave no trace in what was remembered."""

_LISTS = {
    "domains.*.scenarios": "scenario",
    "sequences.streams": "stream",
    "sequences.features": "feature",
}
"""Lists of names that may grow."""

_SECTIONS = {"streams": "stream", "domains": "domain", "tasks": "task", "features": "feature"}
"""Sections whose entries may be joined by new ones."""

_REMEDY = {
    "window": "Windows are sealed on another grid then",
    "target": "What the entire space made is credited and counted already",
    "tasks": "Labels were published by it; give the new one another name and keep this",
    "features": "Windows hold it as it was; give the new one another name and keep this",
}


@dataclass(frozen=True)
class Refusal:
    """A key that cannot change as it did."""

    key: str
    old: Any
    new: Any
    why: str


@dataclass(frozen=True)
class Growth:
    """What is new, in words, and what is refused. Nothing of either: equal specs."""

    grown: tuple[str, ...]
    refused: tuple[Refusal, ...]


def growth(old: Values, new: Values) -> Growth:
    """How `new` differs from `old`."""
    grown: list[str] = []
    refused: list[Refusal] = []
    for key, was, now in _changes(old, new):
        word = _word(key, was, now, old)
        if word is None:
            why = _REMEDY.get(key.split(".")[0], "State and windows were made by it")
            refused.append(Refusal(key, was, now, why))
        else:
            grown.append(word)
    return Growth(tuple(grown), tuple(refused))


def _changes(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys of which the values differ; None where there was or is none."""
    if old == new:
        return
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield key, old, new
        return
    for name in [*old, *(name for name in new if name not in old)]:
        yield from _changes(old.get(name), new.get(name), f"{key}.{name}" if key else name)


def _word(key: str, was: Any, now: Any, old: Values) -> str | None:
    """What a change brings, in words; None if it cannot be."""
    section, _, rest = key.partition(".")
    if section in _SECTIONS and "." not in rest and was is None:
        return f"new {_SECTIONS[section]} {rest}"
    if key in _FREE or section in _FREE:
        return f"{key} is {now}"
    pattern = f"{section}.*.{key.rpartition('.')[2]}" if section == "domains" else key
    if pattern in _LISTS and was is not None:
        added = _added(was, now)
        return None if added is None else f"new {_LISTS[pattern]} {', '.join(added)} in {key}"
    if section in ("tasks", "features") and key.endswith(".domains") and was and now:
        added = _added(was, now)
        known = added is not None and not set(added) & set(old["domains"])
        return f"{', '.join(added or ())} in {key}" if known else None
    if section == "features" and key.endswith(".vocabulary") and was:
        added = _added(was, now) if now else []
        return None if added is None else f"more words in {key}"
    return None


def _added(was: Any, now: Any) -> list[str] | None:
    """The names that joined; None if some left."""
    names = list(now or ())
    return None if set(was) - set(names) else [name for name in names if name not in was]
