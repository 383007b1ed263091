"""From request to feedback: the cumulative share of credited labels by delay."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from millstream.report import style
from millstream.report.delays import SEALED
from millstream.report.tables import StoreTables

_HOUR_MS = 3_600_000
COARSE_MS = (
    *(1, 10, 100, 1_000, 10_000, 60_000, 600_000, _HOUR_MS, 6 * _HOUR_MS),
    *(days * style.DAY_MS for days in (1, 7, 30, 365)),
)
FINE_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000),
    *(minutes * 60_000 for minutes in (1, 2, 5, 10, 20, 30)),
    *(hours * _HOUR_MS for hours in (1, 2, 6, 12)),
    *(days * style.DAY_MS for days in (1, 2, 7, 14, 30, 90, 365)),
)
MOST_TICKS = 9


def delays(tables: StoreTables) -> Figure | None:
    """One pair of lines a task: all credited labels, and those known by their window's cut."""
    tasks = [task for task in tables.tasks if task in set(tables.delays["task"])]
    if not tasks:
        return None
    figure, (axes,) = style.panels("How long feedback takes", rows=1)
    figure.set_figheight(4.2)
    first, last = _range(tables.delays, max(tables.horizons_ms.values(), default=0))
    for place, task in enumerate(tasks):
        colour = style.colour(task, place)
        curves = curve(tables.delays.filter(task=task))
        edges = [first, *curves["up_to_ms"].clip(lower_bound=first), last]
        for column, line in (("all", "-"), ("sealed", "--")):
            shares = [0.0, *curves[column]]
            labels = int(curves["labels"][-1])
            name = f"{task} ({labels:,} labels)" if column == "all" else None
            axes.stairs(
                shares,
                edges,
                baseline=None,
                color=colour,
                linestyle=line,
                linewidth=1.6,
                label=name,
            )
        if task in tables.horizons_ms:
            axes.axvline(tables.horizons_ms[task], color=colour, linestyle=":", linewidth=1.2)
    _delay_axis(axes, first, last)
    style.percent_axis(axes, "share of the task's credited labels")
    style.legend_below(figure, axes, columns=3)
    return figure


def curve(rows: pl.DataFrame) -> pl.DataFrame:
    """One task's cumulative shares in percent: up_to_ms, labels, all, sealed.

    Both are shares of all labels, so `sealed` ends where only revisions go on.
    """
    whole = rows["labels"].sum()
    by_bin = (
        rows.group_by("up_to_ms")
        .agg(
            labels=pl.col("labels").sum(),
            sealed=pl.col("labels").filter(pl.col("known") == SEALED).sum(),
        )
        .sort("up_to_ms")
        .with_columns(pl.col("labels", "sealed").cum_sum())
    )
    return by_bin.select(
        "up_to_ms",
        "labels",
        all=100 * pl.col("labels") / whole,
        sealed=100 * pl.col("sealed") / whole,
    )


def _range(delays: pl.DataFrame, longest_horizon_ms: int) -> tuple[float, float]:
    """From below the shortest delay that is not zero to beyond the longest."""
    some = delays.filter(pl.col("up_to_ms") > 0)["up_to_ms"].to_numpy()
    shortest, longest = (some.min(), some.max()) if len(some) else (1_000, 1_000)
    return shortest / 2, max(longest, longest_horizon_ms) * 2


def _delay_axis(axes: Axes, first: float, last: float) -> None:
    fine, coarse = ([t for t in ticks if first <= t <= last] for ticks in (FINE_MS, COARSE_MS))
    ticks = fine if len(fine) <= MOST_TICKS else coarse
    axes.set_xscale("log")
    axes.set_xlim(first, last)
    axes.set_xticks(ticks, [style.span_text(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("event time - request time (log scale)")
