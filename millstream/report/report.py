"""From a window store to a folder of plots and a page that holds them all."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from millstream.report import style, summary
from millstream.report.page import page
from millstream.report.plots import PLOTS, Plot
from millstream.report.tables import StoreTables
from millstream.report.tabulate import Watch, tabulate
from schemas.durable import write_bytes
from schemas.errors import SpecError, UserError
from schemas.spec import Spec
from schemas.windows import WindowStore

PAGE = "report.html"


@dataclass(frozen=True)
class Written:
    """What was written, and by title what was left out and why."""

    page: Path
    plots: tuple[Path, ...]
    left_out: Mapping[str, str]


def write_report(
    store: WindowStore, out: Path, spec: Spec | None = None, watch: Watch = lambda windows: None
) -> Written:
    """Read the store, then `write_page`.

    The spec is asked for nothing but names and horizons. Raises StoreError where the store is
    empty or damaged, SpecError for the spec of another product, UserError where `out` cannot be
    written to.
    """
    if spec is not None:
        _check_spec(store, spec)
    _prepare(out)
    return write_page(tabulate(store, spec, watch), out)


def write_page(tables: StoreTables, out: Path) -> Written:
    """Write `report.html` and a PNG file a plot into `out`, in the place of an earlier report.

    Raises UserError where `out` cannot be written to.
    """
    _prepare(out)
    drawn = _draw(tables)
    for file in (out / f"{plot.name}.png" for plot in PLOTS):
        file.unlink(missing_ok=True)
    for plot, image in drawn:
        write_bytes(out / f"{plot.name}.png", image)
    names = {plot.name for plot, _ in drawn}
    left_out = {plot.title: plot.missing for plot in PLOTS if plot.name not in names}
    title = f"Windows of {', '.join(sorted({one.spec_name for one in tables.manifests}))}"
    text = page(title, summary.rows(tables), drawn, left_out)
    write_bytes(out / PAGE, text.encode())
    return Written(out / PAGE, tuple(out / f"{plot.name}.png" for plot, _ in drawn), left_out)


def _draw(tables: StoreTables) -> list[tuple[Plot, bytes]]:
    with style.house_style():
        figures = ((plot, plot.draw(tables)) for plot in PLOTS)
        return [(plot, style.png(figure)) for plot, figure in figures if figure is not None]


def _check_spec(store: WindowStore, spec: Spec) -> None:
    names = sorted({manifest.spec_name for manifest in store.windows()})
    if names and names != [spec.name]:
        raise SpecError(
            f"{store.root}: expected windows of the spec that --spec names, {spec.name!r}, "
            f"received windows of {', '.join(map(repr, names))}. Name the spec that they were "
            "built with, or leave --spec out."
        )


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: expected a folder for the report or a place where one can be made, received: "
            f"{error.strerror}. Name another --out."
        ) from error
