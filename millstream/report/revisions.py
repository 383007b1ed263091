"""What revisions changed: by the window that carries them, by the sample's age, and by label."""

import polars as pl

from schemas.labels import TIERS

LATE, RETRACTED, MATURED = "read late", "retracted", "known after the cut"
CAUSES = (MATURED, RETRACTED, LATE)
"""Why a label was revised; what was read late and retracted counts as read late."""


def of_window(revisions: pl.DataFrame, carrier_ms: int) -> pl.DataFrame:
    """One row a group: carrier_ms, age_ms, cause, revisions.

    `age_ms` is how long after its sample's cut a revision came: windows are cut alike, so it is
    the distance of the two windows.
    """
    cause = (
        pl.when("late")
        .then(pl.lit(LATE))
        .when("retraction")
        .then(pl.lit(RETRACTED))
        .otherwise(pl.lit(MATURED))
    )
    keyed = revisions.select(
        carrier_ms=pl.lit(carrier_ms, pl.Int64),
        age_ms=carrier_ms - pl.col("window_start_ms"),
        cause=cause,
    )
    return keyed.group_by(keyed.columns).agg(revisions=pl.len().cast(pl.Int64))


def moved_credits(revisions: pl.DataFrame) -> pl.DataFrame:
    """How revisions change the number of labels: window_start_ms, task, tier, labels.

    `window_start_ms` is the sample's window. A label leaves its old tier and joins its new one.
    """
    left = revisions.select("window_start_ms", "task", tier="old_tier", labels=pl.lit(-1))
    joined = revisions.select("window_start_ms", "task", tier="new_tier", labels=pl.lit(1))
    names = dict(enumerate(TIERS))
    moved = pl.concat([left, joined]).drop_nulls("tier")
    return (
        moved.group_by("window_start_ms", "task", "tier")
        .agg(pl.col("labels").cast(pl.Int64).sum())
        .with_columns(pl.col("tier").replace_strict(names, return_dtype=pl.String))
        .filter(pl.col("labels") != 0)
    )
