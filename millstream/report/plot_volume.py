"""What windows hold over time: their size, their samples' origins, their queries' sources."""

from collections.abc import Sequence

import polars as pl
from matplotlib.figure import Figure

from millstream.report import style
from millstream.report.tables import StoreTables
from schemas.labels import ORIGINS, QUERY_PATHS

_SIZES = {
    "users": ("user records", style.REQUEST_TIME),
    "requests": ("requests", style.REQUEST_TIME),
    "samples": ("samples", style.REQUEST_TIME),
    "revisions": ("revisions", style.CARRIER_TIME),
}


def volume(tables: StoreTables) -> Figure | None:
    """Users, requests, samples and revisions of each stretch of time, a panel each."""
    if not tables.windows["requests"].sum():
        return None
    columns = columns_of(tables)
    figure, axes = style.panels("What the windows hold", rows=2, columns=2)
    long = tables.windows.unpivot(list(_SIZES), index="window_start_ms")
    values = columns.sums(long, "window_start_ms", "variable", "value", list(_SIZES))
    for one, counts, (label, what) in zip(axes, values, _SIZES.values(), strict=True):
        one.stairs(counts, columns.edges, fill=True, color=style.BLUE)
        one.set_title(f"{label}: {int(counts.sum()):,}")
        style.time_axis(one, columns, what)
        style.count_axis(one, columns, label)
    return figure


def origins(tables: StoreTables) -> Figure | None:
    """Samples by origin: their number, and their shares."""
    return _mix("Where samples come from", tables, tables.origins, "origin", "samples", ORIGINS)


def queries(tables: StoreTables) -> Figure | None:
    """Requests made of foreign clicks by the path to their query: number and shares."""
    title = "Where the queries of searchified requests come from"
    return _mix(title, tables, tables.paths, "path", "requests", QUERY_PATHS)


def columns_of(tables: StoreTables) -> style.Columns:
    """The columns that the store's windows fall into."""
    return style.Columns.of(tables.windows["window_start_ms"].to_list(), tables.length_ms)


def _mix(
    title: str,
    tables: StoreTables,
    rows: pl.DataFrame,
    name: str,
    value: str,
    known: Sequence[str],
) -> Figure | None:
    names = [one for one in known if one in set(rows[name])]
    if not names:
        return None
    columns = columns_of(tables)
    values = columns.sums(rows, "window_start_ms", name, value, names)
    figure, (above, below) = style.panels(title, rows=2)
    style.stack(above, columns, names, values)
    above.set_title(f"number: {int(values.sum()):,} {value} in all")
    style.count_axis(above, columns, value)
    style.stack(below, columns, names, style.shares(values))
    below.set_title("mix")
    style.percent_axis(below, f"share of {value} per {columns.width}")
    style.legend_below(figure, above)
    return figure
