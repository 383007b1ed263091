"""The closing tables on a simulated world: windows, labels, refusals, quality, versions, plots."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import polars as pl

from millstream import console
from millstream.demo.data import Versions
from millstream.demo.place import Place
from millstream.demo.report import refused, registered, table, windows
from millstream.demo.scores import Scorer, interval, mean, scorers
from millstream.report import tabulate, write_page
from millstream.report.tables import StoreTables
from pipelines.simulate.world import World
from schemas.labels import ORIGINS, QUERY_PATHS, TIERS
from schemas.spec import Spec, load
from schemas.windows import WindowStore

DAY_MS = 86_400_000
STRETCHES = 5
TASKS = ("click", "conversion")


def report(place: Place, versions: Versions, world: World) -> str:
    """The report as text; writes the page of plots."""
    spec, store = load(place.spec), WindowStore(place.windows)
    with console.progress("plots", len(store.windows()), "windows") as advance:
        tables = tabulate(store, spec, advance)
    written = write_page(tables, place.plots)
    parts = [
        windows(place),
        _counted("samples by origin", tables.origins, "origin", "samples", ORIGINS),
        _tiers(tables),
        _counted("queries of searchified requests", tables.paths, "path", "requests", QUERY_PATHS),
        refused(place),
        _quality(place, spec, world),
        registered(place, versions),
        f"Plots of the windows: {written.page}",
    ]
    return "\n\n".join(parts)


def _counted(title: str, rows: pl.DataFrame, name: str, value: str, names: Sequence[str]) -> str:
    counts = dict(rows.group_by(name).agg(pl.col(value).sum()).rows())
    return "\n".join([title, table({f"  {one}": counts.get(one, 0) for one in names})])


def _tiers(tables: StoreTables) -> str:
    """Labels with feedback by tier and task, as all revisions leave them."""
    summed = tables.credits.group_by("task", "tier").agg(pl.col("labels").sum())
    counts = {(task, tier): labels for task, tier, labels in summed.rows()}
    lines = [f"{'labels with feedback by tier':<28}" + "".join(f"{t:>12}" for t in tables.tasks)]
    for tier in TIERS:
        cells = (f"{counts.get((task, tier), 0):>12,}" for task in tables.tasks)
        lines.append(f"  {tier:<26}" + "".join(cells))
    return "\n".join(lines)


def _quality(place: Place, spec: Spec, world: World) -> str:
    """AUC over time on the target domain and elsewhere, before each window was trained on."""
    edges, shown = edges_ms(world), scorers(place)
    days = "".join(f"{f'to day {(edge - world.start_ms) // DAY_MS}':>10}" for edge in edges[1:])
    lines = ["AUC, each window scored before it was trained on (95% interval: last column)"]
    groups = _groups(spec)
    for group, scenarios in groups.items():
        for task in TASKS:
            lines.append(f"{f'{task} in {group}':<28}{days}")
            lines += [_row(scorer, task, scenarios, edges) for scorer in shown]
    *_, elsewhere = groups
    lines.append(f"With {elsewhere} stand the requests that were made of clicks there.")
    return "\n".join(lines)


def _row(scorer: Scorer, task: str, scenarios: Sequence[str], edges: Sequence[int]) -> str:
    """One scorer: a mean for each stretch, and the interval of the last one."""
    parts = [scorer.scores(task, scenarios, "auc", *ends) for ends in pairwise(edges)]
    means = "".join(f"{mean(part):>10}" for part in parts)
    return f"  {scorer.name:<26}{means}  {interval(parts[-1])}"


def edges_ms(world: World) -> list[int]:
    """The world's days in at most five stretches; what came after its last day is left out."""
    days = -(-world.days // STRETCHES)
    ends = [*range(days, world.days, days), world.days]
    return [world.start_ms + day * DAY_MS for day in (0, *ends)]


def _groups(spec: Spec) -> Mapping[str, Sequence[str]]:
    """The scenarios of the target domain, and all others."""
    target = spec.target.domain if spec.target else ""
    others = {name: domain.scenarios for name, domain in spec.domains.items() if name != target}
    elsewhere = [scenario for scenarios in others.values() for scenario in scenarios]
    return {target: spec.domains[target].scenarios, " and ".join(others): elsewhere}
