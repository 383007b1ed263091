"""The tables behind the plots: what a window store holds, added up."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from millstream.report import delays
from schemas.spec import Spec
from schemas.windows import Manifest

SCHEMAS = {
    "windows": pl.Schema(
        {
            "window_start_ms": pl.Int64,
            "users": pl.Int64,
            "requests": pl.Int64,
            "samples": pl.Int64,
            "revisions": pl.Int64,
        }
    ),
    "origins": pl.Schema({"window_start_ms": pl.Int64, "origin": pl.String, "samples": pl.Int64}),
    "credits": pl.Schema(
        {"window_start_ms": pl.Int64, "task": pl.String, "tier": pl.String, "labels": pl.Int64}
    ),
    "paths": pl.Schema({"window_start_ms": pl.Int64, "path": pl.String, "requests": pl.Int64}),
    "delays": delays.SCHEMA,
    "revisions": pl.Schema(
        {"carrier_ms": pl.Int64, "age_ms": pl.Int64, "cause": pl.String, "revisions": pl.Int64}
    ),
    "dead_letters": pl.Schema({"stream": pl.String, "reason": pl.String, "letters": pl.Int64}),
}


@dataclass(frozen=True)
class StoreTables:
    """What a store holds, in frames that grow with the number of windows, not of samples.

    Labels are those of windows that are in the store; a revision of an older one only counts in
    `revisions`.

    windows       window_start_ms, users, requests, samples, revisions (that it carries)
    origins       window_start_ms, origin, samples
    credits       window_start_ms, task, tier, labels: as all revisions in the store leave them
    delays        task, known, up_to_ms, labels: see `millstream.report.delays`
    paths         window_start_ms, path, requests: those made of foreign clicks
    revisions     carrier_ms, age_ms, cause, revisions: see `millstream.report.revisions`
    dead_letters  stream, reason, letters
    """

    manifests: tuple[Manifest, ...]
    windows: pl.DataFrame
    origins: pl.DataFrame
    credits: pl.DataFrame
    delays: pl.DataFrame
    paths: pl.DataFrame
    revisions: pl.DataFrame
    dead_letters: pl.DataFrame
    spec: Spec | None = None

    @property
    def target(self) -> str | None:
        """The domain that learns from the entire space, where a spec says so."""
        return self.spec.target.domain if self.spec and self.spec.target else None

    @property
    def horizons_ms(self) -> Mapping[str, int]:
        """By task, where a spec says so."""
        tasks = self.spec.tasks if self.spec else {}
        return {name: task.horizon_ms for name, task in tasks.items()}

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks of any window, in the order of their names."""
        return tuple(sorted({task for one in self.manifests for task in one.counts.labels}))

    @property
    def length_ms(self) -> int:
        """How long a window is."""
        return self.manifests[0].window_end_ms - self.manifests[0].window_start_ms
