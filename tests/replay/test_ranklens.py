"""The RankLens replay against the raw lines."""

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.replay import ranklens
from schemas.errors import UserError
from schemas.events import arrow_schema
from schemas.spec import Spec, parse

if TYPE_CHECKING:
    from tests.replay.conftest import Replayed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def raw() -> dict[str, list[dict[str, Any]]]:
    """The raw objects by kind."""
    kinds: dict[str, list[dict[str, Any]]] = {"item": [], "ranking": [], "interaction": []}
    with gzip.open(ROOT / "examples/ranklens/events.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            kinds[event["event"]].append(event)
    return kinds


def test_the_counts_are_those_of_the_data_set(replayed_ranklens: "Replayed") -> None:
    exposures = replayed_ranklens.frame("exposure")
    assert replayed_ranklens.summary.counts == {"exposure": 9_800, "click": 46_125, "item": 2_512}
    assert exposures["candidates"].list.len().sum() == 235_200
    assert exposures["request_id"].n_unique() == 9_800
    assert exposures["user_id"].n_unique() == 2_145


def test_every_ranking_keeps_its_user_its_time_and_the_order_of_its_movies(
    replayed_ranklens: "Replayed", raw: dict[str, list[dict[str, Any]]]
) -> None:
    exposures = replayed_ranklens.frame("exposure").with_columns(
        items=pl.col("candidates").list.eval(pl.element().struct.field("item_id")),
        positions=pl.col("candidates").list.eval(pl.element().struct.field("position")),
        exposed=pl.col("candidates").list.eval(pl.element().struct.field("exposed")).list.all(),
    )
    found = exposures.select("request_id", "user_id", "time_ms", "items").rows()
    expected = [
        (r["id"], r["user"], int(r["timestamp"]), [item["id"] for item in r["items"]])
        for r in raw["ranking"]
    ]
    assert sorted(found) == sorted(expected)
    assert exposures["positions"].unique().to_list() == [list(range(24))]
    assert exposures["exposed"].all()
    assert set(exposures["scenario"]) == {"movies"}


def test_every_click_names_its_ranking(
    replayed_ranklens: "Replayed", raw: dict[str, list[dict[str, Any]]]
) -> None:
    columns = ("event_id", "request_id", "user_id", "item_id", "time_ms")
    found = replayed_ranklens.frame("click").select(columns).rows()
    expected = [
        (c["id"], c["ranking"], c["user"], c["item"], int(c["timestamp"]))
        for c in raw["interaction"]
    ]
    assert sorted(found) == sorted(expected)


def test_candidates_carry_the_catalogue_and_eight_movies_have_none(
    replayed_ranklens: "Replayed", raw: dict[str, list[dict[str, Any]]]
) -> None:
    names = [feature.name for feature in replayed_ranklens.spec.owned_by("item")]
    catalogue = {
        event["item"]: {field["name"]: field["value"] for field in event["fields"]}
        for event in raw["item"]
    }
    shown = replayed_ranklens.frame("exposure").select(pl.col("candidates").explode())
    movies = shown["candidates"].struct.unnest().drop("position", "exposed").unique().to_dicts()
    assert len(movies) == 2_520
    unknown = [movie for movie in movies if movie["item_id"] not in catalogue]
    assert len(unknown) == 8
    assert all(movie[name] is None for movie in unknown for name in names)
    for movie in movies:
        fields = catalogue.get(movie["item_id"], {})
        assert {name: movie[name] for name in names} == {n: fields.get(n) for n in names}


def test_the_item_stream_carries_titles(
    replayed_ranklens: "Replayed", raw: dict[str, list[dict[str, Any]]]
) -> None:
    found = dict(replayed_ranklens.frame("item").select("item_id", "title").rows())
    expected = {event["item"]: event["fields"][0]["value"] for event in raw["item"]}
    assert found == expected


def test_files_are_in_time_order_with_the_columns_of_the_spec(
    replayed_ranklens: "Replayed",
) -> None:
    for stream in replayed_ranklens.spec.streams:
        for file in replayed_ranklens.files(stream):
            table = pq.read_table(file)
            assert table.schema == arrow_schema(replayed_ranklens.spec, stream)
            assert pl.Series(table.column("time_ms")).is_sorted()


def _spoiled(folder: Path, lines: str) -> Path:
    with gzip.open(folder / ranklens.EVENTS_FILE, "wt", encoding="utf-8") as file:
        file.write(lines)
    return folder


RANKING = '{"event":"ranking","id":"r","user":"u","timestamp":"1","items":[{"id":"1"}]}\n'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (RANKING + "not json\n", "line 2: expected a JSON object .* received 'not json'"),
        (RANKING + '{"event":"purchase"}\n', "line 2: expected .* received .*purchase"),
        (RANKING.replace('"u"', "null"), "expected a value of 'user' in every row, 1 lack one"),
        (RANKING.replace('"1","items', '"noon","items'), "expected the events of RankLens"),
        ("", "expected the events of RankLens"),
    ],
)
def test_what_is_wrong_with_the_input_is_told_to_the_user(
    tmp_path: Path, ranklens_spec: Spec, lines: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ranklens.replay(_spoiled(tmp_path, lines), tmp_path / "out", ranklens_spec)


def test_a_missing_file_is_told_to_the_user(tmp_path: Path, ranklens_spec: Spec) -> None:
    with pytest.raises(UserError, match="expected the events of RankLens, received no such file"):
        ranklens.replay(tmp_path, tmp_path / "out", ranklens_spec)


def test_a_stream_that_the_data_set_has_not_is_told_to_the_user(tmp_path: Path) -> None:
    text = (ROOT / "schemas/specs/ranklens.toml").read_text()
    spec = parse(text.replace("item = { kind", 'buy = { kind = "conversion" }\nitem = { kind', 1))
    with pytest.raises(UserError, match="the data set has no feedback stream 'buy'"):
        ranklens.replay(ROOT / "examples/ranklens", tmp_path / "out", spec)
