"""How the plots look: one size, one palette, and columns of time that any store fits into."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

Floats = npt.NDArray[np.float64]

WIDTH_IN = 7.6
DPI = 150
MOST_COLUMNS = 240
"""More would be thinner than a printed line."""

REQUEST_TIME, CARRIER_TIME = "request time", "carrying window"
"""What columns of time are of; a label's revision is carried by a later window than its own."""

DAY_MS = 86_400_000
UNITS_MS = (("d", DAY_MS), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))

NAVY, BLUE, SKY, TEAL, GREEN = "#1d3557", "#2a6f97", "#8fbfd9", "#2a9d8f", "#a3c585"
AMBER, RUST, PLUM, LILAC, GREY = "#e9a23b", "#c8553d", "#6d597a", "#b8a4c9", "#9aa0a6"
SERIES = (NAVY, RUST, TEAL, AMBER, PLUM, SKY, GREEN, LILAC, BLUE, GREY)
"""For series that have no colour of their own, such as tasks; dark and light take turns."""

COLOURS: Mapping[str, str] = {
    "direct": NAVY,
    "in_domain": SKY,
    "clicked": TEAL,
    "exposed": GREEN,
    "unexposed": AMBER,
    "searchified": PLUM,
    "searchified_positive": PLUM,
    "searchified_negative": LILAC,
    "own": NAVY,
    "co_occurrence": SKY,
    "nearest": AMBER,
    "none": GREY,
    "known after the cut": BLUE,
    "retracted": AMBER,
    "read late": RUST,
}
"""What is called the same has the same colour in every plot."""

_SETTINGS: Mapping[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": "#555555",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the report's fonts and lines, whatever the machine's matplotlib is set to."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def panels(title: str, rows: int, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, row by row."""
    figure = Figure(figsize=(WIDTH_IN, 0.9 + 2.3 * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def png(figure: Figure) -> bytes:
    """The figure as a file that is the same for the same figure."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def colour(name: str, place: int) -> str:
    """The name's own colour, else that of its place among others."""
    return COLOURS.get(name, SERIES[place % len(SERIES)])


@dataclass(frozen=True)
class Columns:
    """Equal stretches of time, each of one or several windows: a plot's columns."""

    first_ms: int
    width_ms: int
    number: int

    @classmethod
    def of(cls, starts_ms: Sequence[int], length_ms: int, most: int = MOST_COLUMNS) -> "Columns":
        """The columns that windows with these starts need, at most `most`."""
        first, last = min(starts_ms), max(starts_ms)
        windows = (last - first) // length_ms + 1
        width = length_ms * math.ceil(windows / most)
        return cls(first, width, (last - first) // width + 1)

    def sums(
        self, rows: pl.DataFrame, at: str, name: str, value: str, names: Sequence[str]
    ) -> Floats:
        """Sums of `value` by name and column, shape [names, number]."""
        total = np.zeros((len(names), self.number))
        row = {one: place for place, one in enumerate(names)}
        known = rows.filter(pl.col(name).is_in(list(names)))
        place = known[name].replace_strict(row, return_dtype=pl.Int64).to_numpy()
        column = ((known[at] - self.first_ms) // self.width_ms).to_numpy()
        np.add.at(total, (place, column), known[value].to_numpy())
        return total

    @property
    def edges(self) -> Floats:
        """Where columns begin and end, [number + 1], as matplotlib's days."""
        return (self.first_ms + self.width_ms * np.arange(self.number + 1)) / DAY_MS

    @property
    def width(self) -> str:
        """How wide a column is, for an axis label."""
        return span_text(self.width_ms)


def stack(
    axes: Axes,
    columns: Columns,
    names: Sequence[str],
    values: Floats,
    what: str = REQUEST_TIME,
) -> None:
    """Columns of time on each other: `values` [names, columns], the first name at the bottom."""
    bottom = np.zeros(columns.number)
    for place, (name, one) in enumerate(zip(names, values, strict=True)):
        axes.stairs(
            bottom + one,
            columns.edges,
            baseline=bottom,
            fill=True,
            color=colour(name, place),
            label=name.replace("_", " "),
        )
        bottom = bottom + one
    axes.set_ylim(bottom=0)
    time_axis(axes, columns, what)


def shares(values: Floats) -> Floats:
    """Each column's shares in percent; nothing where the column has nothing."""
    whole = values.clip(min=0).sum(axis=0)
    return 100 * values.clip(min=0) / np.where(whole > 0, whole, 1)


def time_axis(axes: Axes, columns: Columns, what: str = REQUEST_TIME) -> None:
    """Dates below, in UTC; `what` is dated."""
    locator = dates.AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlim(columns.edges[0], columns.edges[-1])
    axes.set_xlabel(f"{what} (UTC)", loc="left")


def percent_axis(axes: Axes, label: str, whole: bool = True) -> None:
    """Percent on the left; all of 0 to 100 if `whole`."""
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0 if whole else None))
    axes.set_ylim(0, 100 if whole else None)
    axes.set_ylabel(label)


def count_axis(axes: Axes, columns: Columns, what: str) -> None:
    """Whole counts in a column on the left: 12 k, 3 M."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_ylim(0, max(axes.get_ylim()[1], 1))
    axes.set_ylabel(f"{what} per {columns.width}")


def legend_below(figure: Figure, axes: Axes, columns: int = 6) -> None:
    """One legend for all panels, below them, of what this panel shows."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))


def unit_of(longest_ms: int) -> tuple[str, int]:
    """The unit that durations up to this one are best told in, and its milliseconds.

    >>> unit_of(3 * 86_400_000), unit_of(90_000)
    (('d', 86400000), ('min', 60000))
    """
    return next(((unit, size) for unit, size in UNITS_MS if longest_ms >= size), UNITS_MS[-1])


def span_text(milliseconds: int) -> str:
    """A duration in its largest whole unit.

    >>> span_text(21_600_000), span_text(90_000), span_text(250)
    ('6 h', '90 s', '250 ms')
    """
    unit, size = next((u, ms) for u, ms in UNITS_MS if milliseconds % ms == 0)
    return f"{milliseconds // size} {unit}"
