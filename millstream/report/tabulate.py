"""From a window store to its tables: one pass, one window in memory at a time."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from millstream.report import delays, revisions
from millstream.report.tables import SCHEMAS, StoreTables
from schemas.errors import StoreError
from schemas.labels import QUERY_PATHS, TIERS
from schemas.spec import Spec
from schemas.windows import Manifest, WindowStore
from schemas.windows.counts import by_code
from schemas.windows.flat import numbers, split_list

DEAD_LETTERS = "dead_letters"
"""The folder of a store that the pipeline writes dead letters to."""

Watch = Callable[[int], None]


def tabulate(
    store: WindowStore, spec: Spec | None = None, watch: Watch = lambda windows: None
) -> StoreTables:
    """Read all sealed windows, as they were written; `watch` is told of each.

    Raises StoreError if there is none, or if what is read is damaged.
    """
    manifests = tuple(store.windows())
    if not manifests:
        raise StoreError(
            f"{store.root}: expected sealed windows, received none. Run `millstream pipeline` "
            "until a cut is sealed, or name the folder that it writes to."
        )
    found = _Found({manifest.window_start_ms for manifest in manifests})
    for manifest in manifests:
        found.add(store, manifest)
        watch(1)
    return StoreTables(
        manifests=manifests,
        windows=_rows("windows", map(_counts, manifests)),
        origins=_rows("origins", (row for one in manifests for row in _origins(one))),
        credits=_credits(manifests, found.moved),
        delays=delays.added(found.delays),
        paths=_rows("paths", found.paths),
        revisions=pl.concat([SCHEMAS["revisions"].to_frame(), *found.revisions]),
        dead_letters=_dead_letters(store.root / DEAD_LETTERS),
        spec=spec,
    )


@dataclass
class _Found:
    """What is read out of the windows' files, small whatever a window holds."""

    starts: Collection[int]
    delays: list[pl.DataFrame] = field(default_factory=list)
    paths: list[tuple[int, str, int]] = field(default_factory=list)
    revisions: list[pl.DataFrame] = field(default_factory=list)
    moved: list[pl.DataFrame] = field(default_factory=list)

    def add(self, store: WindowStore, manifest: Manifest) -> None:
        """Read one window."""
        start_ms = manifest.window_start_ms
        revised = pl.DataFrame(pl.from_arrow(store.read_revisions(start_ms)))
        self.revisions.append(revisions.of_window(revised, start_ms))
        of_ours = revised.filter(pl.col("window_start_ms").is_in(self.starts))
        self.moved.append(revisions.moved_credits(of_ours))
        parts, paths = [*self.delays, delays.revised_delays(of_ours)], dict.fromkeys(QUERY_PATHS, 0)
        for batch in store.read_users(start_ms, None):
            parts.append(delays.sealed_delays(batch))
            for path, requests in _paths(batch).items():
                paths[path] += requests
        self.delays = [delays.added(parts)]
        self.paths += [(start_ms, path, requests) for path, requests in paths.items() if requests]


def _paths(batch: pa.RecordBatch) -> dict[str, int]:
    """How the batch's requests that were made of foreign clicks came by their queries."""
    requests = split_list(batch.column("requests"))[1]
    if requests.type.get_field_index("query_path") < 0:
        return {}
    return by_code(numbers(requests.field("query_path").drop_null()), QUERY_PATHS)


def _counts(manifest: Manifest) -> tuple[int, ...]:
    counts = manifest.counts
    sizes = (counts.users, counts.requests, counts.samples, counts.revisions)
    return (manifest.window_start_ms, *sizes)


def _origins(manifest: Manifest) -> list[tuple[int, str, int]]:
    counts = manifest.counts.origins.items()
    return [(manifest.window_start_ms, origin, samples) for origin, samples in counts if samples]


def _credits(manifests: Iterable[Manifest], moved: list[pl.DataFrame]) -> pl.DataFrame:
    """Credited labels as sealed, then as revisions moved them."""
    sealed = [
        (one.window_start_ms, task, tier, labels[tier])
        for one in manifests
        for task, labels in one.counts.labels.items()
        for tier in TIERS
    ]
    keys = ["window_start_ms", "task", "tier"]
    both = pl.concat([_rows("credits", sealed), *moved])
    summed = both.group_by(keys).agg(pl.col("labels").sum())
    return summed.filter(pl.col("labels") != 0).sort(keys)


def _dead_letters(folder: Path) -> pl.DataFrame:
    """How many by stream and reason. Raises StoreError for a file that is none of the pipeline."""
    counted = [SCHEMAS["dead_letters"].to_frame()]
    for file in sorted(folder.glob("*.parquet")):
        try:
            letters = pl.read_parquet(file, columns=["stream", "reason"])
        except (pl.exceptions.PolarsError, OSError) as error:
            raise StoreError(
                f"{file}: expected dead letters as the pipeline writes them, received something "
                f"else ({error}). Restore the file from a copy, or move it out of the store."
            ) from error
        keyed = letters.group_by("stream", "reason").agg(letters=pl.len().cast(pl.Int64))
        counted.append(keyed.cast(SCHEMAS["dead_letters"]))
    keys = ["stream", "reason"]
    return pl.concat(counted).group_by(keys).agg(pl.col("letters").sum()).sort(keys)


def _rows(table: str, rows: Iterable[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMAS[table], orient="row")
