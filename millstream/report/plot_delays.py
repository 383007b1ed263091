"""From request to feedback: the cumulative share of credited labels by delay."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from millstream.report import style
from millstream.report.delays import SEALED
from millstream.report.tables import StoreTables

TICKS_MS = {
    1: "1 ms",
    10: "10 ms",
    100: "100 ms",
    1_000: "1 s",
    10_000: "10 s",
    60_000: "1 min",
    600_000: "10 min",
    3_600_000: "1 h",
    21_600_000: "6 h",
    style.DAY_MS: "1 d",
    7 * style.DAY_MS: "7 d",
    30 * style.DAY_MS: "30 d",
    365 * style.DAY_MS: "1 y",
}


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
    ticks = [tick for tick in TICKS_MS if first <= tick <= last]
    axes.set_xscale("log")
    axes.set_xlim(first, last)
    axes.set_xticks(ticks, [TICKS_MS[tick] for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("event time - request time (log scale)")
