"""What is drawn is what the tables say, worked out by hand on the corner shop."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from millstream.report import style
from millstream.report.plots import PLOTS
from millstream.report.tables import SCHEMAS, StoreTables
from millstream.report.tabulate import tabulate
from schemas.windows import WindowStore
from tests.report.corner_shop import HOUR_MS, SPEC, START_MS, write_store


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> StoreTables:
    store = write_store(tmp_path_factory.mktemp("report") / "windows")
    return tabulate(WindowStore(store), SPEC)


@pytest.fixture(scope="module")
def figures(tables: StoreTables) -> dict[str, Figure]:
    with style.house_style():
        return {plot.name: figure for plot in PLOTS if (figure := plot.draw(tables)) is not None}


def steps(axes: Axes) -> dict[str, list[float]]:
    """The height of each named step line or area, column by column."""
    drawn = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    found = {}
    for patch in drawn:
        values, _, baseline = patch.get_data()
        found[str(patch.get_label())] = list(values - (0 if baseline is None else baseline))
    return found


def of_four(*values: float) -> object:
    """Heights of the four hours of the shop."""
    return pytest.approx(list(values))


def test_every_panel_says_what_its_axes_are(figures: dict[str, Figure]) -> None:
    assert list(figures) == [plot.name for plot in PLOTS]
    for figure in figures.values():
        assert figure.get_suptitle()
        for axes in figure.axes:
            assert axes.get_xlabel() and axes.get_ylabel()
            size = axes.xaxis.label.get_size()
            assert isinstance(size, float) and size >= 8


def test_the_volume_is_that_of_each_hour(figures: dict[str, Figure]) -> None:
    heights = [next(iter(steps(axes).values())) for axes in figures["volume"].axes]
    assert heights == [[2, 1, 0, 1], [3, 1, 0, 2], [5, 1, 0, 2], [0, 2, 0, 2]]


def test_origins_are_stacked_and_their_shares_fill_the_column(figures: dict[str, Figure]) -> None:
    number, mix = map(steps, figures["origins"].axes)
    assert number == {
        "exposed": [2, 0, 0, 1],
        "unexposed": [1, 0, 0, 0],
        "searchified positive": [1, 1, 0, 1],
        "searchified negative": [1, 0, 0, 0],
    }
    assert mix["exposed"] == of_four(40, 0, 0, 50)
    assert sum(map(np.array, mix.values())).tolist() == of_four(100, 100, 0, 100)


def test_tiers_are_shares_of_the_labels_with_feedback(figures: dict[str, Figure]) -> None:
    """No purchase stands, so there is no panel of purchases."""
    (click,) = figures["tiers"].axes
    assert click.get_title(loc="left") == "click: 5 labels with feedback"
    third = 100 / 3
    assert steps(click) == {
        "direct": of_four(third, 0, 0, 100),
        "unexposed": of_four(third, 0, 0, 0),
        "searchified": of_four(third, 100, 0, 0),
    }


def test_unexposed_positives_have_a_number_and_a_share(figures: dict[str, Figure]) -> None:
    number, share = figures["unexposed"].axes
    assert steps(number) == {"click": [1, 0, 0, 0]}
    (line,) = steps(share).values()
    assert line[:2] + line[3:] == pytest.approx([100 / 3, 0, 0])
    assert np.isnan(line[2])
    assert share.get_title(loc="left") == "share, over all: click 20.0%"
    assert "'search'" in figures["unexposed"].get_suptitle()


def test_queries_are_stacked_by_path(figures: dict[str, Figure]) -> None:
    number, _ = map(steps, figures["queries"].axes)
    assert number == {"own": [1, 0, 0, 0], "nearest": [0, 0, 0, 1], "none": [0, 1, 0, 0]}


def test_delays_end_at_all_labels_or_at_what_windows_showed(figures: dict[str, Figure]) -> None:
    """Solid then dashed, by task: the one purchase came as a revision, all clicks did not."""
    (axes,) = figures["delays"].axes
    lines = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    ends = [(line.get_linestyle(), line.get_data().values[-1]) for line in lines]
    assert ends == [("-", 100), ("--", 0), ("-", 100), ("--", 100)]
    clicks = lines[2].get_data()
    assert clicks.values.tolist() == pytest.approx([0, *(100 * n / 6 for n in (1, 2, 4, 5, 6))])
    assert clicks.edges[1] == clicks.edges[0], "what was known at once is where the line begins"
    horizons = [line.get_xdata()[0] for line in axes.lines]
    assert horizons == [2 * HOUR_MS, HOUR_MS // 2]


def test_revisions_are_stacked_by_cause_and_add_up_with_age(figures: dict[str, Figure]) -> None:
    over_time, by_age = figures["revisions"].axes
    assert steps(over_time) == {
        "known after the cut": [0, 1, 0, 0],
        "retracted": [0, 1, 0, 0],
        "read late": [0, 0, 0, 2],
    }
    late = by_age.lines[2]
    assert list(late.get_xdata()) == [0, 3, 5] and list(late.get_ydata()) == [0, 50, 100]
    assert by_age.get_xlabel().endswith("(h)")


def test_dead_letters_are_bars_by_reason_and_stream(figures: dict[str, Figure]) -> None:
    (axes,) = figures["dead_letters"].axes
    bars = {str(box.get_label()): [bar.get_width() for bar in box] for box in axes.containers}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["late", "bad_time"]
    assert bars == {"click (4)": [1, 3], "exposure (1)": [1, 0]}


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("origins", "origins"),
        ("credits", "tiers"),
        ("credits", "unexposed"),
        ("delays", "delays"),
        ("paths", "queries"),
        ("revisions", "revisions"),
        ("dead_letters", "dead_letters"),
        ("windows", "volume"),
    ],
)
def test_a_plot_without_data_is_none(tables: StoreTables, table: str, name: str) -> None:
    plot = next(one for one in PLOTS if one.name == name)
    assert plot.draw(replace(tables, **{table: SCHEMAS[table].to_frame()})) is None


def test_columns_join_windows_where_there_are_too_many() -> None:
    starts = [START_MS + hour * HOUR_MS for hour in range(10)]
    rows = pl.DataFrame({"at": starts, "name": ["a"] * 10, "n": range(10)})
    columns = style.Columns.of(starts, HOUR_MS, most=4)
    assert (columns.number, columns.width) == (4, "3 h")
    assert columns.sums(rows, "at", "name", "n", ["b", "a"]).tolist() == [
        [0, 0, 0, 0],
        [0 + 1 + 2, 3 + 4 + 5, 6 + 7 + 8, 9],
    ]


def test_the_same_tables_give_the_same_file(tables: StoreTables) -> None:
    plot = PLOTS[0]

    def drawn() -> bytes:
        with style.house_style():
            figure = plot.draw(tables)
            assert figure is not None
            return style.png(figure)

    assert drawn() == drawn()
