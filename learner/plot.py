"""Pictures over windows: prequential GAUC, how tables fill up, how fresh the weights were."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes

from learner.freshness import SINCE_END, SINCE_SEALED
from learner.journal import Journal
from learner.metrics import ALL
from learner.pictures import new_figure, save
from learner.promotion import CHAMPION

BASELINE = "baseline_item_ctr"
PANELS = 6
"""All scenarios together, and the largest ones."""

ROWS = "tables/rows"
FATES = {"expired": "tab:gray", "given_on": "tab:orange", "refused": "tab:red"}
"""What became of ids, with a colour."""

Series = dict[datetime, float]


def plot(journal: Journal, path: Path) -> bool:
    """Draw the journal's first task; false if there is nothing to draw."""
    series = _series(journal)
    task = next((n.split("/")[0] for n in series if re.fullmatch(f"[^/]+/{ALL}/gauc", n)), None)
    if task is None:
        return False
    scenarios = _largest(series, task)
    rows = (len(scenarios) + 1) // 2
    figure = new_figure(11, 1 + 2.6 * rows)
    figure.suptitle(f"{task}: GAUC of each window, scored before it was trained on")
    for place, scenario in enumerate(scenarios, start=1):
        _panel(figure.add_subplot(rows, 2, place), series, task, scenario)
    save(figure, path)
    return True


def plot_tables(journal: Journal, path: Path) -> bool:
    """Draw how the tables filled up, and what became of ids; false if there is nothing to draw."""
    series = _series(journal)
    if ROWS not in series:
        return False
    figure = new_figure(9, 6)
    figure.suptitle("Embedding tables after each window, all tables together")
    rows, ids = figure.subplots(2, 1, sharex=True)
    _line(rows, series[ROWS], "ids that have a row", "tab:blue")
    for what, colour in FATES.items():
        _line(ids, series.get(f"tables/{what}", {}), what.replace("_", " "), colour)
    _dress(rows, "rows")
    _dress(ids, "since the state began")
    save(figure, path)
    return True


def plot_freshness(journal: Journal, path: Path) -> bool:
    """Draw the delays that `learner.freshness` noted; false if there are none."""
    series = _series(journal)
    if SINCE_END not in series:
        return False
    figure = new_figure(9, 4)
    figure.suptitle("How long after it a window was learned")
    axes = figure.subplots()
    _line(axes, series[SINCE_END], "since the window's end", "tab:blue")
    _line(axes, series.get(SINCE_SEALED, {}), "since it was sealed", "tab:orange")
    axes.set_yscale("log")
    _dress(axes, "seconds")
    save(figure, path)
    return True


def _series(journal: Journal) -> dict[str, Series]:
    series: dict[str, Series] = defaultdict(dict)
    for entry, _ in journal.since(0):
        moment = datetime.fromtimestamp(entry.time_ms / 1000, UTC)
        for name, value in entry.metrics.items():
            series[name][moment] = value
    return series


def _largest(series: Mapping[str, Series], task: str) -> list[str]:
    """All scenarios together, then those with most samples that have a GAUC."""
    prefix, suffix = f"{task}/", "/gauc"
    named = [
        n[len(prefix) : -len(suffix)] for n in series if n.startswith(prefix) and n.endswith(suffix)
    ]
    sizes = {one: sum(series[f"{task}/{one}/samples"].values()) for one in named if one != ALL}
    return [ALL, *sorted(sizes, key=lambda one: -sizes[one])][:PANELS]


def _panel(axes: Axes, series: Mapping[str, Series], task: str, scenario: str) -> None:
    name = f"{task}/{scenario}/gauc"
    _line(axes, series.get(name, {}), "model", "tab:blue")
    _line(axes, series.get(f"{BASELINE}/{name}", {}), "item CTR so far", "tab:gray")
    if champion := series.get(f"{CHAMPION}/{name}"):
        _line(axes, champion, "champion, on the same samples", "tab:orange")
    axes.axhline(0.5, color="black", linewidth=0.5)
    axes.set_title("all scenarios" if scenario == ALL else scenario, fontsize=10)
    _dress(axes, "GAUC")


def _dress(axes: Axes, what: str) -> None:
    axes.set_ylabel(what)
    axes.tick_params(axis="x", labelrotation=30, labelsize=7)
    axes.legend(fontsize=8)


def _line(axes: Axes, points: Series, label: str, colour: str) -> None:
    moments: Sequence[datetime] = sorted(points)
    values = [points[moment] for moment in moments]
    axes.plot(moments, values, marker="o", markersize=3, label=label, color=colour)  # type: ignore[arg-type]
