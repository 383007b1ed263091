"""The table at the top of the page: what the store holds, in numbers."""

from collections import Counter
from datetime import UTC, datetime

import polars as pl

from millstream.report.delays import REVISED
from millstream.report.style import span_text
from millstream.report.tables import StoreTables

Rows = list[tuple[str, str]]


def rows(tables: StoreTables) -> Rows:
    """Name and value, both for a person."""
    return [
        ("spec", _spec(tables)),
        ("target domain", _target(tables)),
        ("windows", _windows(tables)),
        *((name, f"{tables.windows[column].sum():,}") for name, column in _SIZES),
        ("samples by origin", _listed(tables.origins, "origin", "samples")),
        *((f"labels of {task}", _labels(tables, task)) for task in tables.tasks),
        ("revisions", _revisions(tables)),
        ("queries of searchified requests", _listed(tables.paths, "path", "requests")),
        ("dead letters", _listed(tables.dead_letters, "reason", "letters")),
    ]


_SIZES = (("user records", "users"), ("requests", "requests"), ("samples", "samples"))


def _spec(tables: StoreTables) -> str:
    """Each spec that windows were built with; more than one where it grew."""
    windows = Counter((one.spec_name, one.spec_digest) for one in tables.manifests)
    named = [f"{name}, digest {digest[:12]}" for name, digest in windows]
    if len(named) == 1:
        return named[0]
    return "; ".join(f"{one} ({n} windows)" for one, n in zip(named, windows.values(), strict=True))


def _target(tables: StoreTables) -> str:
    if tables.spec is not None:
        return tables.target or "none"
    foreign = tables.origins.filter(pl.col("origin") != "exposed")
    return "not named (give the spec)" if len(foreign) else "none seen"


def _windows(tables: StoreTables) -> str:
    first, last = (_moment(tables.manifests[place].window_start_ms) for place in (0, -1))
    length = span_text(tables.length_ms)
    return f"{len(tables.manifests):,} of {length}, starting from {first} to {last} UTC"


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _labels(tables: StoreTables, task: str) -> str:
    """How many have feedback, how many of these came late, and how many there are."""
    credited = tables.credits.filter(task=task)["labels"].sum()
    revised = tables.delays.filter(task=task, known=REVISED)["labels"].sum()
    counts = [one.counts.labels.get(task, {}) for one in tables.manifests]
    labels = sum(n for one in counts for kind, n in one.items() if kind != "missing")
    share = f" ({100 * credited / labels:.2f}%)" if labels else ""
    return f"{credited:,} of {labels:,} have feedback{share}; {revised:,} got it by a revision"


def _revisions(tables: StoreTables) -> str:
    return _listed(tables.revisions, "cause", "revisions")


def _listed(frame: pl.DataFrame, name: str, value: str) -> str:
    """The whole, then each part, largest first."""
    parts = frame.group_by(name).agg(pl.col(value).sum()).sort([pl.col(value), name])[::-1]
    named = ", ".join(f"{one.replace('_', ' ')} {n:,}" for one, n in parts.rows())
    return f"{frame[value].sum():,}" + (f": {named}" if named else "")
