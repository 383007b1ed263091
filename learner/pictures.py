"""Pictures that change with each version: what a person looks at before promoting.

They are drawn where the version is staged, from what its gate has seen.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from learner.metrics.histogram_auc import HistogramAuc
from learner.metrics.reliability import reliability
from learner.metrics.scored import Ints
from learner.scoring import Verdict
from models.layout import Layout

PANELS = 6


def draw_calibration(verdict: Verdict, layout: Layout, path: Path) -> bool:
    """Reliability curves of the first tasks, the champion's beside; false without samples."""
    tasks = [k for k in range(len(layout.tasks)) if _histogram(verdict.model.auc, k).any()][:PANELS]
    if not tasks:
        return False
    rows = (len(tasks) + 1) // 2
    figure = Figure(figsize=(9, 1 + 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("What was predicted, and how often it happened, since the version before")
    for place, task in enumerate(tasks, start=1):
        axes = figure.add_subplot(rows, 2, place)
        _curve(axes, _histogram(verdict.model.auc, task), "model", "tab:blue")
        if verdict.shadow is not None:
            name = f"champion {verdict.shadow.version}"
            _curve(axes, _histogram(verdict.shadow.champion.auc, task), name, "tab:orange")
        _frame(axes, layout.tasks[task])
    figure.savefig(path, dpi=110)
    return True


def _histogram(auc: HistogramAuc, task: int) -> Ints:
    """Of all scenarios together, [2, BINS]."""
    counts: Ints = auc.counts[task].sum(axis=0)
    return counts


def _curve(axes: Axes, counts: Ints, label: str, colour: str) -> None:
    found = reliability(counts)
    axes.plot(found.predicted, found.observed, marker="o", markersize=3, label=label, color=colour)


def _frame(axes: Axes, title: str) -> None:
    limits = [*axes.get_xlim(), *axes.get_ylim()]
    low, high = max(min(limits), 0.0), max(limits)
    axes.plot([low, high], [low, high], color="black", linewidth=0.5)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("happened", fontsize=8)
    axes.legend(fontsize=8)
