"""KuaiRand-Pure as event streams: one row of a log is one request with one candidate.

What the data does not say is assumed, here and in `docs/data.md`:
- feedback has no time of its own: it becomes known after a part of the play time (`Delays`);
- the earlier sequences have an order but no times: one second apart, ending at the user's last
  known time, and before the first exposure;
- a video enters the catalogue at midnight, Beijing time, of its upload day, or with the first
  exposure if that is earlier.

Rows are kept as often as the log has them: to find what repeats is the pipeline's work.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from pipelines.replay.conform import event_table, exposure_table
from pipelines.replay.kuairand_files import KuaiRandFiles, read_files
from pipelines.replay.raw import readable, require_offer
from pipelines.replay.writer import DAY_MS, FileFormat, Replayed, ReplaySummary, write_events
from schemas.spec import Feature, Spec, Stream

ACTIONS = {
    "click": "is_click",
    "long_view": "long_view",
    "like": "is_like",
    "follow": "is_follow",
    "comment": "is_comment",
    "forward": "is_forward",
    "hate": "is_hate",
    "profile_enter": "is_profile_enter",
}
"""Feedback stream → its column in the log."""

PAST = {
    "past_watch": "watch_seq",
    "past_like": "like_seq",
    "past_long_view": "long_watch_seq",
}
"""Stream of what happened before the log → its column in the sequences."""

BEIJING_MS = 8 * 3_600_000
HOUR_MS = 3_600_000
PAST_STEP_MS = 1_000


@dataclass(frozen=True)
class Delays:
    """Feedback becomes known `min(play time, cap)` after its exposure; the caps, in ms.

    Only the cap of long_view follows from the data: the label means 18 s played, or the whole
    of a shorter video. The others are assumptions: a click opens the video, so nothing has been
    played; whatever else a user does falls into the first 18 s of the play.
    """

    click_ms: int = 0
    long_view_ms: int = 18_000
    other_ms: int = 18_000

    def cap_ms(self, action: str) -> int:
        """The cap of one feedback stream."""
        return {"click": self.click_ms, "long_view": self.long_view_ms}.get(action, self.other_ms)


def replay(
    source: Path,
    out: Path,
    spec: Spec,
    *,
    file_format: FileFormat = "parquet",
    overwrite: bool = False,
    delays: Delays | None = None,
) -> ReplaySummary:
    """Write the events of KuaiRand-Pure: a folder per stream of the spec, a file per day.

    source: a folder with the shipped slice or with the official release's CSV files.
    Raises UserError if a file is missing or unusable, if the spec declares a feature or a
    feedback stream that the data set has not, or if `out` is not empty.
    """
    replayed = read(source, spec, delays=delays)
    return write_events(
        replayed.streams,
        out,
        spec,
        file_format=file_format,
        overwrite=overwrite,
        notes=replayed.notes,
    )


def read(source: Path, spec: Spec, *, delays: Delays | None = None) -> Replayed:
    """The same events as tables. Raises UserError for the same reasons, but for `out`."""
    files = read_files(source)
    with _readable(source):
        _check_offer(spec, files)
        replayed = _Replay.of(files, spec, delays or Delays())
    return Replayed(_tables(source, replayed), files.notes)


def _tables(source: Path, replayed: "_Replay") -> Iterator[tuple[str, pa.Table]]:
    for name, stream in replayed.spec.streams.items():
        with _readable(source):
            table = replayed.table(stream)
        yield name, table


def _readable(source: Path) -> AbstractContextManager[None]:
    return readable(source, "features in the official release's format")


@dataclass(frozen=True)
class _Replay:
    spec: Spec
    delays: Delays
    exposures: pl.DataFrame
    """One row an exposure, with every declared feature, in time order."""
    videos: pl.DataFrame
    """One row a video: `item_id`, `upload_day` and the declared item features."""
    sequences: pl.DataFrame

    @classmethod
    def of(cls, files: KuaiRandFiles, spec: Spec, delays: Delays) -> "_Replay":
        videos = _videos(files.videos, spec)
        exposures = _exposures(files, spec, videos)
        return cls(spec, delays, exposures, videos, files.sequences)

    @property
    def start_ms(self) -> int:
        """Time of the first exposure."""
        return int(self.exposures["time_ms"][0])

    def table(self, stream: Stream) -> pa.Table:
        """The events of one stream in time order; none for a retraction."""
        if stream.kind == "exposure":
            offsets = pl.int_range(self.exposures.height + 1, eager=True)
            return exposure_table(self.spec, stream.name, self.exposures, self.exposures, offsets)
        return event_table(self.spec, stream.name, self._events(stream))

    def _events(self, stream: Stream) -> pl.DataFrame:
        if stream.kind == "item":
            return _items(self.videos, self.start_ms)
        if stream.name in ACTIONS:
            return _feedback(self.exposures, stream.name, self.delays.cap_ms(stream.name))
        if stream.name in PAST:
            return _past(self.sequences, stream.name, self.start_ms, self.videos)
        return pl.DataFrame()


def _check_offer(spec: Spec, files: KuaiRandFiles) -> None:
    feedback = [stream.name for stream in spec.feedback_streams]
    require_offer("feedback stream", feedback, [*ACTIONS, *PAST])
    offered = {
        "user": files.users.columns,
        "item": [*_video_features(), *files.videos.columns],
        "context": ["hour"],
        "cross": ["freshness_days"],
        "query": [],
    }
    missing = {"user": files.users.is_empty(), "item": files.videos.is_empty()}
    for owner, names in offered.items():
        if not missing.get(owner):
            wanted = [f.name for f in spec.features.values() if f.owner == owner]
            require_offer(f"{owner} feature", wanted, names)


def _exposures(files: KuaiRandFiles, spec: Spec, videos: pl.DataFrame) -> pl.DataFrame:
    ids = [pl.format("{}", name) for name in ("user_id", "video_id", "time_ms", "tab")]
    log = files.log.with_columns(
        request_id=pl.concat_str(ids, separator="-"),
        user_id=ids[0],
        item_id=ids[1],
        scenario=pl.format("tab{}", "tab"),
        hour=_beijing("time_ms", HOUR_MS).mod(24).cast(pl.String),
        position=0,
        exposed=True,
    )
    joined = (
        log.sort("time_ms", "request_id", maintain_order=True)
        .join(_users(files.users, spec), on="user_id", how="left", maintain_order="left")
        .join(videos, on="item_id", how="left", maintain_order="left")
    )
    age = _beijing("time_ms", DAY_MS) - pl.col("upload_day")
    return joined.with_columns(freshness_days=age.cast(pl.Float64))


def _users(users: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    declared = [f for f in spec.owned_by("user") if f.name in users.columns]
    return users.select("user_id", *(_typed(pl.col(f.name), f) for f in declared))


def _videos(videos: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    derived = _video_features()
    declared = [f for f in spec.owned_by("item") if f.name in derived or f.name in videos.columns]
    upload_day = pl.col("upload_dt").str.to_date().to_physical().cast(pl.Int64)
    return videos.select(
        pl.col("video_id").alias("item_id"),
        upload_day.alias("upload_day"),
        *(_typed(derived.get(f.name, pl.col(f.name)), f).alias(f.name) for f in declared),
    )


def _video_features() -> dict[str, pl.Expr]:
    """Item features whose name or unit is not the file's."""
    return {
        "author": pl.col("author_id"),
        "video_duration_s": pl.col("video_duration").cast(pl.Float64) / 1_000,
    }


def _typed(text: pl.Expr, feature: Feature) -> pl.Expr:
    """A column of text as the feature's type; a list of ids is parted by commas."""
    if feature.type == "number":
        return text.cast(pl.Float64)
    return text.str.split(",") if feature.type == "ids" else text


def _feedback(exposures: pl.DataFrame, action: str, cap_ms: int) -> pl.DataFrame:
    delay_ms = pl.col("play_time_ms").clip(0, cap_ms)
    return (
        exposures.filter(pl.col(ACTIONS[action]) == 1)
        .with_columns(
            event_id=pl.format(f"{{}}-{action}", "request_id"),
            time_ms=pl.col("time_ms") + delay_ms,
        )
        .sort("time_ms", "event_id", maintain_order=True)
    )


def _past(
    sequences: pl.DataFrame, stream: str, start_ms: int, videos: pl.DataFrame
) -> pl.DataFrame:
    """The i-th of n earlier actions, `n - 1 - i` seconds before the user's last known time."""
    actions = sequences.select(
        pl.col("user_id").cast(pl.String),
        pl.min_horizontal("last_time_ms", start_ms - 1).alias("last_ms"),
        pl.col(PAST[stream]).alias("item_id"),
        pl.int_ranges(pl.col(PAST[stream]).list.len().cast(pl.Int64)).alias("i"),
        pl.col(PAST[stream]).list.len().cast(pl.Int64).alias("n"),
    ).filter(pl.col("n") > 0)
    events = actions.explode("item_id", "i").select(
        "user_id",
        pl.col("item_id").cast(pl.String),
        (pl.col("last_ms") - (pl.col("n") - 1 - pl.col("i")) * PAST_STEP_MS).alias("time_ms"),
        pl.format(f"{{}}-{stream}-{{}}", "user_id", "i").alias("event_id"),
    )
    ordered = events.sort("time_ms", "event_id")
    return ordered.join(videos, on="item_id", how="left", maintain_order="left")


def _items(videos: pl.DataFrame, start_ms: int) -> pl.DataFrame:
    upload_ms = pl.col("upload_day") * DAY_MS - BEIJING_MS
    timed = videos.with_columns(time_ms=pl.min_horizontal(upload_ms, start_ms))
    return timed.sort("time_ms", "item_id")


def _beijing(time_ms: str, unit_ms: int) -> pl.Expr:
    """Whole hours or days since 1970 in Beijing time."""
    return (pl.col(time_ms) + BEIJING_MS) // unit_ms
