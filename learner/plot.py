"""One picture of how the model does: prequential GAUC by window, against the item baseline."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from learner.journal import Journal
from learner.metrics import ALL
from learner.promotion import CHAMPION

BASELINE = "baseline_item_ctr"
PANELS = 6
"""All scenarios together, and the largest ones."""

Series = dict[datetime, float]


def plot(journal: Journal, path: Path) -> bool:
    """Draw the journal's first task; false if there is nothing to draw."""
    series = _series(journal)
    task = next((n.split("/")[0] for n in series if re.fullmatch(f"[^/]+/{ALL}/gauc", n)), None)
    if task is None:
        return False
    scenarios = _largest(series, task)
    rows = (len(scenarios) + 1) // 2
    figure = Figure(figsize=(11, 1 + 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{task}: GAUC of each window, scored before it was trained on")
    for place, scenario in enumerate(scenarios, start=1):
        _panel(figure.add_subplot(rows, 2, place), series, task, scenario)
    figure.savefig(path, dpi=110)
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
    axes.set_ylabel("GAUC")
    axes.tick_params(axis="x", labelrotation=30, labelsize=7)
    axes.legend(fontsize=8)


def _line(axes: Axes, points: Series, label: str, colour: str) -> None:
    moments: Sequence[datetime] = sorted(points)
    values = [points[moment] for moment in moments]
    axes.plot(moments, values, marker="o", markersize=3, label=label, color=colour)  # type: ignore[arg-type]
