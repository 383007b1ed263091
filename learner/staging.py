"""Versions on their way: written to a folder of their own, to be registered from there.

The learner's thread hands over what a version is made of, copied where training would change it;
the thread that writes checkpoints makes the folder of it, complete and then renamed, with no
server involved. Of the tables nothing is copied: their rows are in the checkpoints on the disk.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from torch import Tensor

from learner.gate import Decision
from learner.pictures import draw_attention, draw_calibration
from learner.progress import Progress
from learner.scorer import save_scorer
from learner.scoring import Verdict
from learner.trainer import Identity, Trainer
from models.base import HeatMap
from models.batch import UserBatch
from models.layout import Layout
from models.tables.base import Changes, EmbeddingTable
from schemas.durable import flush, write_json

LINEAGE = "lineage.json"
CALIBRATION = "calibration.png"
ATTENTION = "attention.png"


@dataclass(frozen=True)
class Version:
    """What a version is made of, as it was at one moment, but for its tables."""

    identity: Identity
    layout: Layout
    progress: Progress
    verdict: Verdict
    """Of all windows since the version before."""
    decision: Decision
    weights: Mapping[str, Tensor]
    """Copies of all that is in no table, parameters as they serve."""
    heat_maps: tuple[HeatMap, ...]
    spec_text: str

    @classmethod
    def of(
        cls, trainer: Trainer, decision: Decision, spec_text: str, shown: UserBatch | None = None
    ) -> "Version":
        """What a trainer is now; `shown` is the batch that its heat maps are of."""
        with trainer.optimisers.average.in_place():
            weights = {name: one.detach().clone() for name, one in trainer.dense_state().items()}
        return cls(
            trainer.identity,
            trainer.layout,
            trainer.progress,
            trainer.since_version,
            decision,
            weights,
            () if shown is None else trainer.heat_maps(shown),
            spec_text,
        )


@dataclass(frozen=True)
class Staged:
    """A version that waits on disk to be registered."""

    folder: Path

    @property
    def tags(self) -> dict[str, str]:
        """The version's tags, `lineage_id` among them."""
        tags: dict[str, str] = json.loads((self.folder / "tags.json").read_text())
        return tags

    @property
    def pictures(self) -> list[Path]:
        """What to show beside the metrics."""
        return sorted(self.folder.glob("*.png"))

    def discard(self) -> None:
        """Remove it: it is registered."""
        shutil.rmtree(self.folder)


def stage(root: Path, version: Version, tables: Mapping[str, Tensor]) -> Staged:
    """Write a version to be; `tables` by the names that a model has for them.

    The same lineage is staged once.
    """
    progress = version.progress
    staged = Staged(root / f"{progress.step:08d}-{progress.lineage[:16]}")
    if staged.folder.exists():
        return staged
    part = root / ".part"
    shutil.rmtree(part, ignore_errors=True)
    (part / "model").mkdir(parents=True)
    weights = {**version.weights, **tables}
    save_scorer(part / "model", weights, version.identity.to_json(), version.spec_text)
    write_json(part / "model" / LINEAGE, lineage_of(version))
    draw_calibration(version.verdict, version.layout, part / CALIBRATION)
    draw_attention(version.heat_maps, part / ATTENTION)
    write_json(part / "tags.json", version_tags(version) | version.decision.tags)
    part.rename(staged.folder)
    flush(root)
    return staged


def served_tables(
    tables: Mapping[str, EmbeddingTable], parts: Sequence[Sequence[Changes]]
) -> dict[str, Tensor]:
    """Of each table what serving needs, by the names that a model has for it.

    `parts` are the changes that make up each; of the tables themselves no row is read.
    """
    served = {}
    for (name, table), changes in zip(tables.items(), parts, strict=True):
        for key, values in table.whole(changes).items():
            if key not in table.kept_beside:
                served[f"{name}.{key}"] = values
    return served


def waiting(root: Path) -> list[Staged]:
    """Staged versions, oldest first."""
    if not root.is_dir():
        return []
    return [Staged(path) for path in sorted(root.iterdir()) if path.name[0] != "."]


def lineage_of(version: Version) -> dict[str, Any]:
    """What the lineage id is made of: the state's beginning, and every window since.

    Windows that were learned under a spec that had less belong to the lineage it was grown from.
    """
    progress = version.progress
    grown = {"grown_from": progress.grown_from} if progress.grown_from else {}
    chain = zip(progress.consumed, progress.digests, strict=True)
    windows = [
        {"start_ms": start, "digest": digest, "skipped": start in progress.skipped}
        for start, digest in chain
    ]
    return {
        "begins": version.identity.to_json() | grown,
        "earlier": windows[: progress.grown_at],
        "windows": windows[progress.grown_at :],
    }


def version_tags(version: Version) -> dict[str, str]:
    """Where a version comes from and how its windows were scored before it learned them."""
    progress = version.progress
    tags = {
        "lineage_id": progress.lineage,
        "model": version.identity.model,
        "preset": version.identity.preset,
        "spec_digest": version.identity.spec_digest,
        "code_version": code_version(),
        "windows": str(progress.learned),
    }
    if progress.skipped:
        tags["skipped_windows"] = str(len(progress.skipped))
    if progress.version:
        tags["parent_lineage_id"] = progress.version
    for name, ref in (("first_window", progress.first), ("last_window", progress.last)):
        if ref is not None:
            tags |= {f"{name}_start_ms": str(ref.start_ms), f"{name}_digest": ref.digest}
    return tags | _metric_tags(version)


def code_version() -> str:
    """The installed version of this software."""
    return installed("millstream")


def _metric_tags(version: Version) -> dict[str, str]:
    verdict = version.verdict
    tags = {}
    for scorer, card in (("", verdict.model), ("baseline_item_ctr.", verdict.baseline)):
        results = card.results()
        for metric in ("auc", "gauc", "normalised_entropy", "calibration"):
            for task, value in zip(version.layout.tasks, results[metric][:, -1], strict=True):
                tags[f"{scorer}{task}.{metric}"] = f"{value:.6f}"
    return tags
