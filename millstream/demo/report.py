"""The closing table on KuaiRand: what was sealed, refused and learned, and how well."""

from collections import Counter
from collections.abc import Mapping

from learner.metrics import ALL
from millstream.demo.data import Versions
from millstream.demo.place import Place
from millstream.demo.scores import interval, scorers
from pipelines.drivers.direct.journal import Journal as EpochJournal
from schemas.windows import WindowStore

LAST_MS = 3 * 86_400_000
"""The stretch that quality is quoted on."""

TASKS = ("click", "long_view")
METRICS = ("auc", "gauc")


def report(place: Place, versions: Versions) -> str:
    """The report as text."""
    parts = [windows(place), refused(place), _quality(place), registered(place, versions)]
    return "\n\n".join(parts)


def windows(place: Place) -> str:
    """What the windows hold."""
    counts = [manifest.counts for manifest in WindowStore(place.windows).windows()]
    rows = {
        "windows": len(counts),
        "user records": sum(one.users for one in counts),
        "requests": sum(one.requests for one in counts),
        "samples": sum(one.samples for one in counts),
        "revisions": sum(one.revisions for one in counts),
    }
    return table(rows)


def refused(place: Place) -> str:
    """Which events were dropped, and why."""
    counts = Counter(EpochJournal(place.pipeline_state / "journal").last().counts)
    dead = {name: count for name, count in counts.items() if name.startswith("dead/")}
    return table({"duplicates": counts["duplicate"], "dead letters": sum(dead.values()), **dead})


def table(rows: Mapping[str, int]) -> str:
    """Names and counts in two columns."""
    return "\n".join(f"{name:<28}{count:>12,}" for name, count in rows.items())


def _quality(place: Place) -> str:
    """Quality over the last three days, each window scored before it was trained on."""
    lines = ["last 3 days, each window scored before it was trained on (95% interval over windows)"]
    for task in TASKS:
        lines.append(f"{task:<16}{'AUC':>26}{'GAUC within windows':>28}")
        for one in scorers(place):
            last = one.newest_ms
            auc, gauc = (
                interval(one.scores(task, [ALL], metric, last - LAST_MS, last))
                for metric in METRICS
            )
            lines.append(f"  {one.name:<15}{auc:>25}{gauc:>28}")
    return "\n".join(lines)


def registered(place: Place, versions: Versions) -> str:
    """Which versions are the newest in the registry, and how to see them."""
    lines = [f"  {name} version {told}" for name, told in versions.items()]
    return "\n".join(
        [
            "Newest in the registry:",
            *(lines or ["  none"]),
            f"Look at them: millstream demo --ui --work {place.root}",
        ]
    )
