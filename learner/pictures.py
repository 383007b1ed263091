"""Pictures that change with each version: what a person looks at before promoting.

They are drawn where the version is staged, from what its gate has seen.
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from learner.metrics.histogram_auc import HistogramAuc
from learner.metrics.reliability import reliability
from learner.metrics.scored import Ints
from learner.scoring import Verdict
from models.base import HeatMap
from models.layout import Layout

PANELS = 6
LETTER, TITLE, BAR, NARROWEST = 0.075, 0.4, 0.8, 5.0
"""Of heat maps, in inches: a letter of a token's name, a title, the scale at the side, all."""

_DRAWING = Lock()


def draw_calibration(verdict: Verdict, layout: Layout, path: Path) -> bool:
    """Reliability curves of the first tasks, the champion's beside; false without samples."""
    tasks = [k for k in range(len(layout.tasks)) if _histogram(verdict.model.auc, k).any()][:PANELS]
    if not tasks:
        return False
    rows = (len(tasks) + 1) // 2
    figure = new_figure(9, 1 + 3.4 * rows)
    figure.suptitle("What was predicted, and how often it happened, since the version before")
    for place, task in enumerate(tasks, start=1):
        axes = figure.add_subplot(rows, 2, place)
        _curve(axes, _histogram(verdict.model.auc, task), "model", "tab:blue")
        if verdict.shadow is not None:
            name = f"champion {verdict.shadow.version}"
            _curve(axes, _histogram(verdict.shadow.champion.auc, task), name, "tab:orange")
        _frame(axes, layout.tasks[task])
    save(figure, path)
    return True


def draw_attention(maps: Sequence[HeatMap], path: Path) -> bool:
    """A panel a heat map, from white, nothing, to the most in it; false without maps."""
    if not maps:
        return False
    left = 0.2 + LETTER * max(_longest(one.rows) for one in maps)
    width = 0.35 * max(len(one.columns) for one in maps)
    heights = [TITLE + 0.3 * len(one.rows) + 0.2 + LETTER * _longest(one.columns) for one in maps]
    figure = Figure(figsize=(max(left + width + BAR, NARROWEST), TITLE + sum(heights)))
    FigureCanvasAgg(figure)
    figure.suptitle("Where tokens look: shares of attention, means over one batch", fontsize=10)
    top = sum(heights)
    for one, height in zip(maps, heights, strict=True):
        tall = 0.3 * len(one.rows)
        panel = _axes(figure, left, top - TITLE - tall, width, tall)
        bar = _axes(figure, left + width + 0.1, top - TITLE - tall, 0.15, tall)
        _heat(panel, bar, one)
        top -= height
    save(figure, path)
    return True


def _longest(names: Sequence[str]) -> int:
    return max(map(len, names))


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def new_figure(width: float, height: float) -> Figure:
    """One that is drawn without a display; sizes in inches.

    Its margins hold titles and ticks of one line: to measure these is to draw the picture twice.
    """
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=0.9 / width,
        right=1 - 0.45 / width,
        bottom=0.6 / height,
        top=1 - 0.7 / height,
        wspace=0.2,
        hspace=0.5,
    )
    return figure


def save(figure: Figure, path: Path) -> None:
    """Draw it; two threads take turns, for what matplotlib keeps of fonts and text is shared."""
    with _DRAWING:
        figure.savefig(path, dpi=110)


def _heat(axes: Axes, bar: Axes, one: HeatMap) -> None:
    shares = one.shares.float().cpu().numpy()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, aspect="auto")
    axes.set_title(one.title, fontsize=9)
    axes.set_xticks(range(len(one.columns)), one.columns, rotation=60, ha="right", fontsize=7)
    axes.set_yticks(range(len(one.rows)), one.rows, fontsize=7)
    axes.figure.colorbar(image, cax=bar)
    bar.tick_params(labelsize=7)


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
