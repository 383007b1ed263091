"""What came after its time, and what could not be used at all."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from millstream.report import style
from millstream.report.plot_volume import columns_of
from millstream.report.revisions import CAUSES
from millstream.report.tables import StoreTables


def revisions(tables: StoreTables) -> Figure | None:
    """Revisions by cause: over time, and by how long after the cut they came."""
    rows = tables.revisions
    names = [cause for cause in CAUSES if cause in set(rows["cause"])]
    if not names:
        return None
    columns = columns_of(tables)
    figure, (left, right) = style.panels("Labels that changed after their cut", rows=1, columns=2)
    figure.set_figheight(3.6)
    values = columns.sums(rows, "carrier_ms", "cause", "revisions", names)
    style.stack(left, columns, names, values, style.CARRIER_TIME)
    left.set_title(f"{int(values.sum()):,} revisions")
    style.count_axis(left, columns, "revisions")
    _ages(right, tables, names)
    style.legend_below(figure, left)
    return figure


def _ages(axes: Axes, tables: StoreTables, names: list[str]) -> None:
    """The cumulative share of revisions by age, a line a cause."""
    unit, unit_ms = style.unit_of(int(tables.revisions["age_ms"].to_numpy().max()))
    for place, cause in enumerate(names):
        by_age = tables.revisions.filter(cause=cause)
        by_age = by_age.group_by("age_ms").agg(pl.col("revisions").sum()).sort("age_ms")
        shares = 100 * by_age["revisions"].cum_sum() / by_age["revisions"].sum()
        axes.step(
            np.concatenate([[0.0], by_age["age_ms"].to_numpy() / unit_ms]),
            np.concatenate([[0.0], shares.to_numpy()]),
            where="post",
            color=style.colour(cause, place),
            linewidth=1.6,
        )
    axes.set_xlabel(f"time after the cut of the sample's window ({unit})")
    axes.set_title("by when")
    axes.set_xlim(left=0)
    style.percent_axis(axes, "share of revisions")


def dead_letters(tables: StoreTables) -> Figure | None:
    """Refused events by reason, a part of each bar a stream."""
    rows = tables.dead_letters
    if rows.is_empty():
        return None
    reasons = (rows.group_by("reason").agg(pl.col("letters").sum()).sort("letters", "reason"))[
        "reason"
    ].to_list()
    figure, (axes,) = style.panels("Events that were refused", rows=1)
    figure.set_figheight(1.4 + 0.3 * len(reasons))
    left: style.Floats = np.zeros(len(reasons))
    for place, stream in enumerate(sorted(set(rows["stream"]))):
        by_reason = dict(rows.filter(stream=stream).select("reason", "letters").rows())
        letters = np.array([by_reason.get(reason, 0) for reason in reasons])
        label = f"{stream} ({letters.sum():,})"
        axes.barh(reasons, letters, left=left, color=style.colour(stream, place), label=label)
        left = left + letters
    for reason, whole in zip(reasons, left, strict=True):
        axes.annotate(f" {int(whole):,}", (whole, reason), va="center", fontsize=8)
    axes.set_xlabel("events")
    axes.set_ylabel("reason")
    axes.margins(x=0.08)
    axes.grid(axis="y", visible=False)
    style.legend_below(figure, axes)
    return figure
