"""The files of KuaiRand-Pure, in the layout of the official release or of the shipped slice.

    official release                          shipped slice
    log_standard_4_08_to_4_21_pure.csv        exposures_*.parquet
    log_standard_4_22_to_5_08_pure.csv        user_sequences.parquet
    log_random_4_22_to_5_08_pure.csv
    user_features_pure.csv                    the same, or .csv.gz
    video_features_basic_pure.csv             the same, or .csv.gz

At least one log is required; for each other file that is missing there is a note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.replay.raw import readable, require_columns, require_folder, require_values
from schemas.errors import UserError

OFFICIAL_LOGS = (
    "log_standard_4_08_to_4_21_pure.csv",
    "log_standard_4_22_to_5_08_pure.csv",
    "log_random_4_22_to_5_08_pure.csv",
)
SLICE_LOGS = "exposures_*.parquet"

LOG_COLUMNS = (
    *("user_id", "video_id", "time_ms", "tab", "play_time_ms", "long_view", "is_click"),
    *("is_like", "is_follow", "is_comment", "is_forward", "is_hate", "is_profile_enter"),
)
USER_COLUMNS = ("user_id",)
VIDEO_COLUMNS = ("video_id", "author_id", "upload_dt", "upload_type", "video_duration", "tag")
SEQUENCE_COLUMNS = ("user_id", "last_time_ms", "watch_seq", "like_seq", "long_watch_seq")


@dataclass(frozen=True)
class KuaiRandFiles:
    """The raw tables. A table whose file is missing has its columns and no rows."""

    log: pl.DataFrame
    """`LOG_COLUMNS`, whole numbers, one row an exposure, in the order of the files."""
    users: pl.DataFrame
    """`user_id` and whatever the file has, as text; one row a user."""
    videos: pl.DataFrame
    """`VIDEO_COLUMNS` and whatever else the file has, as text; one row a video."""
    sequences: pl.DataFrame
    """`SEQUENCE_COLUMNS`, one row a user; only the shipped slice has it."""
    notes: tuple[str, ...]


def read_files(source: Path) -> KuaiRandFiles:
    """Read one folder. Raises UserError if it has no log, both layouts, or an unusable file."""
    require_folder(source, "the files of KuaiRand-Pure")
    logs, missing = _logs(source)
    users = _side(source, "user_features_pure.csv", USER_COLUMNS)
    videos = _side(source, "video_features_basic_pure.csv", VIDEO_COLUMNS)
    sequences = source / "user_sequences.parquet"
    notes = [f"{name} is missing: its exposures are left out" for name in missing]
    if users.is_empty():
        notes.append("user_features_pure.csv is missing or empty: user features are null")
    if videos.is_empty():
        notes.append("video_features_basic_pure.csv is missing or empty: no items, null features")
    if not sequences.exists():
        notes.append("user_sequences.parquet is missing: the past streams are empty")
    log = pl.concat([_log(file) for file in logs])
    return KuaiRandFiles(log, users, videos, _sequences(sequences), tuple(notes))


def _logs(source: Path) -> tuple[list[Path], list[str]]:
    """The logs of the one layout that is there, and the names of the official ones missing."""
    sliced = sorted(source.glob(SLICE_LOGS))
    official = [source / name for name in OFFICIAL_LOGS if (source / name).exists()]
    if sliced and official:
        raise UserError(
            f"{source}: expected {SLICE_LOGS} or the official logs, received both, which would"
            f" replay some exposures twice; move {official[0].name} or {sliced[0].name} away"
        )
    if not sliced and not official:
        raise UserError(
            f"{source}: expected {SLICE_LOGS} or {' or '.join(OFFICIAL_LOGS)}, received none of"
            " them; the official release keeps them in KuaiRand-Pure/data"
        )
    missing = [name for name in OFFICIAL_LOGS if not (source / name).exists()]
    return (sliced, []) if sliced else (official, missing)


def _log(file: Path) -> pl.DataFrame:
    with readable(file, "a log of KuaiRand whose columns are whole numbers"):
        scan = pl.scan_parquet(file) if file.suffix == ".parquet" else _csv(file)
        require_columns(file, LOG_COLUMNS, scan.collect_schema().names())
        frame = scan.select(pl.col(LOG_COLUMNS).cast(pl.Int64)).collect()
    if frame.is_empty():
        raise UserError(f"{file}: expected at least one exposure, received none")
    require_values(file, frame)
    return frame


def _side(source: Path, name: str, columns: Sequence[str]) -> pl.DataFrame:
    """A feature file as text, its first row for each key; without a file, no rows."""
    found = [file for file in (source / name, source / f"{name}.gz") if file.exists()]
    if not found:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    with readable(found[0], "a feature file of KuaiRand"):
        frame = _csv(found[0]).collect()
        require_columns(found[0], columns, frame.columns)
        return frame.unique(subset=columns[0], keep="first", maintain_order=True)


def _sequences(file: Path) -> pl.DataFrame:
    ids = pl.List(pl.Int64)
    kinds = dict(zip(SEQUENCE_COLUMNS, (pl.Int64(), pl.Int64(), ids, ids, ids), strict=True))
    if not file.exists():
        return pl.DataFrame(schema=kinds)
    with readable(file, "the users' earlier sequences"):
        scan = pl.scan_parquet(file)
        require_columns(file, SEQUENCE_COLUMNS, scan.collect_schema().names())
        return scan.select(pl.col(name).cast(kind) for name, kind in kinds.items()).collect()


def _csv(file: Path) -> pl.LazyFrame:
    return pl.scan_csv(file, infer_schema=False)
