"""The metrics of a window by name: `<task>/<column>/<metric>`, before it whose they are."""

from collections import Counter
from collections.abc import Mapping, Sequence

from learner.metrics import ALL, named
from learner.metrics.scorecard import Scorecard
from learner.metrics.scored import Floats
from learner.plot import BASELINE
from learner.progress import Progress
from learner.promotion import CHAMPION
from learner.scoring import Verdict
from learner.trainer import Trainer
from schemas.labels import ORIGINS


def scores(verdict: Verdict, trainer: Trainer) -> dict[str, float]:
    """The metrics of a scored window, the baseline's under its own name."""

    layout = trainer.layout

    def of(results: Mapping[str, Floats], prefix: str = "") -> dict[str, float]:
        values = named(results, layout.tasks, layout.scenarios)
        return {f"{prefix}{name}": value for name, value in values.items()}

    shadow = verdict.shadow
    return (
        of(verdict.model.results())
        | _apart(verdict.by_domain, layout.tasks, "domain", layout.domains)
        | _apart(verdict.by_origin, layout.tasks, "origin", ORIGINS)
        | of(_without_intervals(verdict.baseline.results()), f"{BASELINE}/")
        | (of(shadow.results(), f"{CHAMPION}/") if shadow else {})
        | {"window/unscored": float(verdict.unscored)}
    )


def _without_intervals(results: Mapping[str, Floats]) -> dict[str, Floats]:
    return {name: values for name, values in results.items() if not name.endswith("_ci95")}


def _apart(
    card: Scorecard, tasks: Sequence[str], what: str, columns: Sequence[str]
) -> dict[str, float]:
    """`<task>/<what>.<column>/<metric>`; nothing where all samples are in one column."""
    results = card.results()
    if (results["samples"][:, :-1].sum(axis=0) > 0).sum() < 2:
        return {}
    values = named(results, tasks, [f"{what}.{column}" for column in columns])
    return {name: value for name, value in values.items() if f"/{ALL}/" not in name}


def losses(progress: Progress) -> dict[str, float]:
    """What training on a window said."""
    training = progress.training
    return {
        "train/loss": training.loss / max(training.batches, 1),
        "train/samples": float(training.samples),
        "train/bad_batches": float(training.bad_batches),
    }


def table_counts(trainer: Trainer) -> dict[str, float]:
    """How full the tables are and what became of ids, over all tables."""
    total: Counter[str] = Counter()
    for table in trainer.tables.values():
        total.update(table.counts)
    return {f"tables/{name}": float(count) for name, count in total.items()}
