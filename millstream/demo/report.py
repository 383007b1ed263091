"""The demo's closing table: what was sealed, refused and learned, and how well."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from learner.journal import Entry, Journal
from millstream.demo.place import MODELS, Place
from pipelines.drivers.direct.journal import Journal as EpochJournal
from schemas.spec import Spec
from schemas.windows import WindowStore

LAST_MS = 3 * 86_400_000
"""The stretch that quality is quoted on."""

RESAMPLES = 2000
BASELINE = "baseline_item_ctr"
TASKS = ("click", "long_view")
METRICS = ("auc", "gauc")

Scores = Mapping[int, tuple[float, float]]
"""By window: a metric and how many samples it is of."""


def report(place: Place, spec: Spec) -> str:
    """The report as text."""
    parts = [_windows(place), _refused(place), _quality(place), _versions(place, spec)]
    return "\n\n".join(part for part in parts if part)


def _windows(place: Place) -> str:
    counts = [manifest.counts for manifest in WindowStore(place.windows).windows()]
    rows = {
        "windows": len(counts),
        "user records": sum(one.users for one in counts),
        "requests": sum(one.requests for one in counts),
        "samples": sum(one.samples for one in counts),
        "revisions": sum(one.revisions for one in counts),
    }
    return "\n".join(f"{name:<28}{count:>12,}" for name, count in rows.items())


def _refused(place: Place) -> str:
    counts = Counter(EpochJournal(place.pipeline_state / "journal").last().counts)
    dead = {name: count for name, count in counts.items() if name.startswith("dead/")}
    rows = {"duplicates": counts["duplicate"], "dead letters": sum(dead.values()), **dead}
    return "\n".join(f"{name:<28}{count:>12,}" for name, count in rows.items())


def _quality(place: Place) -> str:
    """Quality over the last three days, each window scored before it was trained on."""
    lines = ["last 3 days, each window scored before it was trained on (95% interval over windows)"]
    for task in TASKS:
        lines.append(f"{task:<16}{'AUC':>26}{'GAUC within windows':>28}")
        for name, (state, prefix) in _scorers(place).items():
            auc, gauc = (
                _interval(_scores(state, f"{prefix}{task}/all", metric)) for metric in METRICS
            )
            lines.append(f"  {name:<15}{auc:>25}{gauc:>28}")
    return "\n".join(lines)


def _scorers(place: Place) -> dict[str, tuple[Path, str]]:
    learners = {model: (place.learner_state(model), "") for model in MODELS}
    first = place.learner_state(MODELS[0])
    return {**learners, "item CTR so far": (first, f"{BASELINE}/")}


def _scores(state: Path, name: str, metric: str) -> Scores:
    entries = [entry for entry, _ in Journal(state / "metrics.jsonl").since(0)]
    newest = max((entry.time_ms for entry in entries), default=0)
    return {
        entry.window_start_ms: _score(entry, name, metric)
        for entry in entries
        if entry.time_ms > newest - LAST_MS and f"{name}/{metric}" in entry.metrics
    }


def _score(entry: Entry, name: str, metric: str) -> tuple[float, float]:
    return entry.metrics[f"{name}/{metric}"], entry.metrics[f"{name}/samples"]


def _interval(scores: Scores) -> str:
    """The mean weighted by samples, and its bootstrap interval over windows."""
    if not scores:
        return "no window"
    value, weight = np.array(list(scores.values())).T
    drawn = np.random.default_rng(0).integers(0, len(value), (RESAMPLES, len(value)))
    means = (value[drawn] * weight[drawn]).sum(1) / weight[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{(value * weight).sum() / weight.sum():.4f} [{low:.4f}, {high:.4f}]"


def _versions(place: Place, spec: Spec) -> str:
    names = ", ".join(f"{spec.name}-{model}" for model in MODELS)
    return (
        f"Versions of {names} wait in the registry, the newest as `challenger`.\n"
        f"Look at them: millstream demo --ui --work {place.root}"
    )
