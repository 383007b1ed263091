"""Credited labels over time: by tier, and those on samples that were not shown."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from millstream.report import style
from millstream.report.plot_volume import columns_of
from millstream.report.tables import StoreTables
from schemas.labels import TIERS


def tiers(tables: StoreTables) -> Figure | None:
    """The mix of tiers, a panel a task."""
    names = [tier for tier in TIERS if tier in set(tables.credits["tier"])]
    tasks = [task for task in tables.tasks if task in set(tables.credits["task"])]
    if not names:
        return None
    columns = columns_of(tables)
    figure, axes = style.panels("How labels were credited", rows=len(tasks))
    for one, task in zip(axes, tasks, strict=True):
        rows = tables.credits.filter(task=task)
        values = columns.sums(rows, "window_start_ms", "tier", "labels", names)
        style.stack(one, columns, names, style.shares(values))
        one.set_title(f"{task}: {int(values.sum()):,} labels with feedback")
        style.percent_axis(one, f"share of labels per {columns.width}")
    style.legend_below(figure, axes[0])
    return figure


def unexposed(tables: StoreTables) -> Figure | None:
    """Labels with the tier `unexposed`: their number and share, by task."""
    found = tables.credits.filter(tier="unexposed")
    tasks = [task for task in tables.tasks if task in set(found["task"])]
    if not tasks:
        return None
    columns = columns_of(tables)
    values = columns.sums(found, "window_start_ms", "task", "labels", tasks)
    whole = columns.sums(tables.credits, "window_start_ms", "task", "labels", tasks)
    where = f" of {tables.target!r}" if tables.target else ""
    figure, (above, below) = style.panels(f"Labels on samples{where} that were not shown", rows=2)
    style.stack(above, columns, tasks, values)
    above.set_title(f"number: {int(values.sum()):,} labels in all")
    style.count_axis(above, columns, "labels")
    share = 100 * np.divide(values, whole, out=np.full_like(values, np.nan), where=whole > 0)
    for place, task in enumerate(tasks):
        below.stairs(
            share[place],
            columns.edges,
            baseline=None,
            linewidth=1.6,
            color=style.colour(task, place),
        )
    style.time_axis(below, columns)
    style.percent_axis(below, f"share of the task's\nlabels per {columns.width}", whole=False)
    below.set_ylim(bottom=0)
    below.set_title(_overall(tables.credits, tasks))
    style.legend_below(figure, above)
    return figure


def _overall(credits: pl.DataFrame, tasks: list[str]) -> str:
    """Each task's share over the whole store, in words."""
    shares = credits.group_by("task").agg(
        share=100 * pl.col("labels").filter(tier="unexposed").sum() / pl.col("labels").sum()
    )
    by_task = dict(shares.rows())
    return "share, over all: " + ", ".join(f"{task} {by_task[task]:.1f}%" for task in tasks)
