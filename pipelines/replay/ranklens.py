"""RankLens as event streams: rankings of 24 movies, and a click for each one marked as liked.

`events.jsonl.gz` has one JSON object a line: `item` (the catalogue), `ranking` (a request) or
`interaction` (a click). Candidates and clicks carry the features that the catalogue has; a movie
without metadata has none. Times are the publisher's own and artificial (see `docs/data.md`).
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars._typing import PolarsDataType

from pipelines.replay.conform import event_table, exposure_table
from pipelines.replay.raw import readable, require_folder, require_offer, require_values
from pipelines.replay.writer import FileFormat, Replayed, ReplaySummary, write_events
from schemas.errors import UserError
from schemas.spec import Spec, Stream

EVENTS_FILE = "events.jsonl.gz"
SCENARIO = "movies"

NUMBERS = ("popularity", "vote_avg", "vote_cnt", "budget", "runtime", "release_date")
LISTS = ("genres", "tags", "actors")
TEXTS = ("title", "director", "writer")

_RANKING: dict[str, PolarsDataType] = {
    "id": pl.String,
    "user": pl.String,
    "timestamp": pl.String,
    "items": pl.List(pl.Struct({"id": pl.String})),
}
_INTERACTION: dict[str, PolarsDataType] = dict.fromkeys(
    ("id", "type", "user", "timestamp", "item", "ranking"), pl.String
)
_ITEM: dict[str, PolarsDataType] = dict.fromkeys(("item", "timestamp"), pl.String)


def replay(
    source: Path,
    out: Path,
    spec: Spec,
    *,
    file_format: FileFormat = "parquet",
    overwrite: bool = False,
) -> ReplaySummary:
    """Write the events of RankLens: a folder per stream of the spec, a file per day.

    source: the folder that holds `events.jsonl.gz`. Raises UserError if it is missing or
    unusable, if the spec declares a feature or a feedback stream that the data set has not, or
    if `out` is not empty.
    """
    streams = read(source, spec).streams
    return write_events(streams, out, spec, file_format=file_format, overwrite=overwrite)


def read(source: Path, spec: Spec) -> Replayed:
    """The same events as tables. Raises UserError for the same reasons, but for `out`."""
    _check_offer(spec)
    require_folder(source, EVENTS_FILE)
    replayed = _Replay.read(source / EVENTS_FILE)
    return Replayed((name, replayed.table(spec, stream)) for name, stream in spec.streams.items())


def _check_offer(spec: Spec) -> None:
    require_offer("feedback stream", [s.name for s in spec.feedback_streams], ["click"])
    offered = [*NUMBERS, *LISTS, *TEXTS[1:]]
    require_offer("item feature", [f.name for f in spec.owned_by("item")], offered)
    others = spec.owned_by("user", "context", "query", "cross")
    require_offer("feature of users or requests", [f.name for f in others], [])


@dataclass(frozen=True)
class _Replay:
    items: pl.DataFrame
    """One row a movie: `item_id`, `time_ms` and its features."""
    requests: pl.DataFrame
    """One row a ranking; `items` is the list of movie ids from the top."""
    clicks: pl.DataFrame

    @classmethod
    def read(cls, file: Path) -> "_Replay":
        """Read the three kinds of lines, each in time order."""
        lines = _lines(file)
        with readable(file, "the events of RankLens, one JSON object a line"):
            items = _items(file, lines)
            return cls(items, _requests(file, lines), _clicks(file, lines, items))

    def table(self, spec: Spec, stream: Stream) -> pa.Table:
        """The events of one stream in time order; none for a retraction."""
        if stream.kind == "exposure":
            return self._exposures(spec, stream.name)
        return event_table(spec, stream.name, self._events(stream))

    def _events(self, stream: Stream) -> pl.DataFrame:
        if stream.kind == "item":
            return self.items
        return self.clicks if stream.name == "click" else pl.DataFrame()

    def _exposures(self, spec: Spec, stream: str) -> pa.Table:
        ends = self.requests["items"].list.len().cast(pl.Int64).cum_sum()
        offsets = pl.concat([pl.Series(ends.name, [0]), ends])
        positions = pl.int_ranges(pl.col("items").list.len().cast(pl.Int64))
        candidates = (
            self.requests.select(item_id="items", position=positions, exposed=True)
            .explode("item_id", "position")
            .join(self.items, on="item_id", how="left", maintain_order="left")
        )
        return exposure_table(spec, stream, self.requests, candidates, offsets)


def _lines(file: Path) -> pl.DataFrame:
    """Every line with its kind: `line`, `event`."""
    if not file.exists():
        raise UserError(f"{file}: expected the events of RankLens, received no such file")
    with readable(file, "the events of RankLens, one JSON object a line"):
        lines = pl.read_csv(
            file,
            has_header=False,
            separator="\x01",
            quote_char=None,
            infer_schema=False,
            new_columns=["line"],
        )
        lines = lines.with_columns(event=pl.col("line").str.json_path_match("$.event"))
    odd = lines.with_row_index(offset=1).filter(~_is("item", "ranking", "interaction"))
    if not odd.is_empty():
        number, line, _ = odd.row(0)
        raise UserError(
            f"{file}: line {number}: expected a JSON object whose 'event' is item, ranking or"
            f" interaction, received {line[:80]!r}"
        )
    return lines


def _is(*events: str) -> pl.Expr:
    return pl.col("event").is_in(list(events)).fill_null(False)


def _parsed(
    file: Path, lines: pl.DataFrame, event: str, kind: dict[str, PolarsDataType]
) -> pl.DataFrame:
    """The lines of one event as columns, none of them empty; `timestamp` becomes `time_ms`."""
    chosen = lines.filter(_is(event))
    frame = chosen.select(pl.col("line").str.json_decode(pl.Struct(kind)).struct.unnest())
    require_values(file, frame)
    return frame.with_columns(time_ms=pl.col("timestamp").cast(pl.Int64))


def _requests(file: Path, lines: pl.DataFrame) -> pl.DataFrame:
    rankings = _parsed(file, lines, "ranking", _RANKING)
    return rankings.select(
        "time_ms",
        pl.col("id").alias("request_id"),
        pl.col("user").alias("user_id"),
        pl.lit(SCENARIO).alias("scenario"),
        pl.col("items").list.eval(pl.element().struct.field("id")),
    ).sort("time_ms", "request_id")


def _clicks(file: Path, lines: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    clicks = _parsed(file, lines, "interaction", _INTERACTION).select(
        "time_ms",
        pl.col("id").alias("event_id"),
        pl.col("user").alias("user_id"),
        pl.col("item").alias("item_id"),
        pl.col("ranking").alias("request_id"),
        pl.lit(SCENARIO).alias("scenario"),
    )
    features = items.drop("time_ms")
    ordered = clicks.sort("time_ms", "event_id")
    return ordered.join(features, on="item_id", how="left", maintain_order="left")


def _items(file: Path, lines: pl.DataFrame) -> pl.DataFrame:
    """The catalogue: a field is a name and a value of its own type, hence one path for each."""
    parsed = _parsed(file, lines, "item", _ITEM).select("time_ms", item_id="item")
    texts = lines.filter(_is("item"))["line"]
    fields = pl.DataFrame(
        {name: texts.str.json_path_match(_path(name)) for name in (*NUMBERS, *LISTS, *TEXTS)}
    ).with_columns(
        pl.col(NUMBERS).cast(pl.Float64),
        pl.col(LISTS).str.json_decode(pl.List(pl.String)),
    )
    return pl.concat([parsed, fields], how="horizontal").sort("time_ms", "item_id")


def _path(name: str) -> str:
    return f'$.fields[?(@.name=="{name}")].value'
