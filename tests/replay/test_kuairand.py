"""The KuaiRand replay against one-screen queries on the raw files and hand-worked rows."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.replay import kuairand
from pipelines.replay.kuairand import ACTIONS, PAST, Delays
from pipelines.replay.writer import ROW_GROUP_ROWS
from schemas.errors import UserError
from schemas.events import arrow_schema
from schemas.spec import Spec, parse

if TYPE_CHECKING:
    from tests.replay.conftest import Replayed

ROOT = Path(__file__).parents[2]
"""The repository."""

STANDARD = "log_standard_4_22_to_5_08_pure.csv"
START_MS = 1_650_729_600_000
"""First exposure of the small release: midnight of 24 April in Beijing, 16:00 UTC."""

KEY = ["user_id", "video_id", "time_ms", "tab"]


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    return pl.read_parquet(ROOT / "examples/kuairand/exposures_*.parquet")


@pytest.fixture(scope="module")
def distinct(replayed_kuairand: "Replayed") -> pl.DataFrame:
    """One exposure of each identity, with its one item."""
    exposures = replayed_kuairand.frame(
        "exposure", "user_id", "request_id", "time_ms", "scenario", "candidates"
    )
    item = pl.col("candidates").list.get(0).struct.field("item_id")
    return exposures.unique("request_id").with_columns(item).drop("candidates")


def test_every_row_is_an_exposure_and_copies_share_an_identity(
    replayed_kuairand: "Replayed", raw: pl.DataFrame
) -> None:
    exposures = replayed_kuairand.frame("exposure", "user_id", "request_id")
    identities = exposures.unique()
    assert exposures.height == raw.height == 228_329
    assert identities.height == raw.unique(KEY).height == 222_444
    assert exposures["user_id"].n_unique() == 25_156


def test_copies_of_an_exposure_are_equal_in_every_column(replayed_kuairand: "Replayed") -> None:
    assert replayed_kuairand.frame("exposure").unique().height == 222_444


@pytest.mark.parametrize("action", ACTIONS)
def test_feedback_is_counted_as_the_raw_label_is(
    replayed_kuairand: "Replayed", raw: pl.DataFrame, action: str
) -> None:
    label = ACTIONS[action]
    events = replayed_kuairand.frame(action, "event_id")
    assert events.height == raw[label].sum() == replayed_kuairand.summary.counts[action]
    assert events["event_id"].n_unique() == raw.filter(pl.col(label) == 1).unique(KEY).height


@pytest.mark.parametrize("stream", PAST)
def test_each_earlier_action_is_one_event(replayed_kuairand: "Replayed", stream: str) -> None:
    sequences = pl.read_parquet(ROOT / "examples/kuairand/user_sequences.parquet")
    events = replayed_kuairand.frame(stream)
    assert events.height == sequences[PAST[stream]].list.len().sum() > 0
    assert events["event_id"].n_unique() == events.height
    assert events["request_id"].null_count() == events["scenario"].null_count() == events.height


def test_earlier_actions_keep_their_order_and_end_before_the_first_exposure(
    replayed_kuairand: "Replayed", raw: pl.DataFrame
) -> None:
    sequences = pl.read_parquet(ROOT / "examples/kuairand/user_sequences.parquet")
    last = pl.min_horizontal("last_time_ms", raw["time_ms"].min() - 1)
    expected = sequences.select(pl.col("user_id").cast(pl.String), "watch_seq", last=last)
    found = (
        replayed_kuairand.frame("past_watch")
        .group_by("user_id", maintain_order=True)
        .agg(pl.col("item_id").cast(pl.Int64), pl.col("time_ms"))
    )
    joined = found.join(expected, on="user_id", validate="1:1")
    assert joined.height == found.height == expected.height
    assert (joined["item_id"] == joined["watch_seq"]).all()
    assert (joined["time_ms"].list.max() == joined["last"]).all()
    assert (joined["time_ms"].list.eval(pl.element().diff().drop_nulls() == 1_000).list.all()).all()


def test_a_long_view_is_known_after_the_played_time_but_at_most_18_s(
    replayed_kuairand: "Replayed", raw: pl.DataFrame
) -> None:
    viewed = raw.filter(pl.col("long_view") == 1)
    known_ms = viewed["time_ms"] + pl.Series([18_000]).extend_constant(18_000, viewed.height - 1)
    capped = viewed["play_time_ms"] >= 18_000
    expected = pl.select(
        pl.when(capped).then(known_ms).otherwise(viewed["time_ms"] + viewed["play_time_ms"])
    ).to_series()
    assert replayed_kuairand.frame("long_view")["time_ms"].to_list() == sorted(expected)


@pytest.mark.parametrize("action", ACTIONS)
def test_feedback_lies_within_the_horizon_of_the_exposure_it_names(
    replayed_kuairand: "Replayed", distinct: pl.DataFrame, action: str
) -> None:
    named = replayed_kuairand.frame(action).join(distinct, on=["user_id", "request_id"])
    delay_ms = named["time_ms"] - named["time_ms_right"]
    assert named.height == replayed_kuairand.summary.counts[action]
    assert (named["scenario"] == named["scenario_right"]).all()
    assert (named["item_id"] == named["item_id_right"]).all()
    assert delay_ms.is_between(0, replayed_kuairand.spec.longest_horizon_ms).all()


def test_files_and_rows_are_in_time_order_with_the_columns_of_the_spec(
    replayed_kuairand: "Replayed",
) -> None:
    for stream in replayed_kuairand.spec.streams:
        last_ms = 0
        for file in replayed_kuairand.files(stream):
            table = pq.read_table(file)
            times = pl.Series(table.column("time_ms"))
            assert table.schema == arrow_schema(replayed_kuairand.spec, stream)
            assert all(f.nullable or not table.column(f.name).null_count for f in table.schema)
            assert times.is_sorted()
            assert times[0] >= last_ms
            assert set(pl.from_epoch(times, "ms").dt.date().cast(pl.String)) == {file.stem}
            groups = pq.ParquetFile(file).metadata
            assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) <= (
                ROW_GROUP_ROWS
            )
            last_ms = times[-1]


def test_the_summary_names_the_range_of_all_event_times(replayed_kuairand: "Replayed") -> None:
    summary = replayed_kuairand.summary
    written = [name for name, count in summary.counts.items() if count]
    times = [replayed_kuairand.frame(name, "time_ms")["time_ms"] for name in written]
    assert summary.first_time_ms == min(series.min() for series in times)
    assert summary.last_time_ms == max(series.max() for series in times)
    assert summary.counts["retraction"] == 0
    assert summary.notes == ()


def test_the_official_release_is_read_as_worked_out_by_hand(
    replay_official: "Callable[..., Replayed]",
) -> None:
    replayed = replay_official()
    exposures = replayed.table("exposure").to_pylist()
    assert [row["request_id"] for row in exposures] == [
        f"1-10-{START_MS}-1",
        f"2-10-{START_MS + 500}-1",
        f"2-12-{START_MS + 1_000}-1",
        f"1-11-{START_MS + 90_000}-0",
    ]
    first = exposures[0]
    assert first["candidates"] == [
        {
            "item_id": "10",
            "position": 0,
            "exposed": True,
            "author": "77",
            "tag": ["12", "65"],
            "upload_type": "Web",
            "video_duration_s": 87.433,
            "freshness_days": 15.0,
        }
    ]
    assert (first["user_id"], first["scenario"], first["hour"]) == ("1", "tab1", "0")
    assert (first["user_active_degree"], first["fans_user_num_range"]) == ("full_active", "[1,10)")
    assert (first["query"], exposures[2]["user_active_degree"]) == (None, None)
    assert exposures[2]["candidates"][0]["author"] is None
    likes = replayed.table("like").to_pylist()
    assert [(row["event_id"], row["time_ms"] - START_MS) for row in likes] == [
        (f"2-12-{START_MS + 1_000}-1-like", 1_000),
        (f"1-11-{START_MS + 90_000}-0-like", 108_000),
    ]
    views = replayed.table("long_view")["time_ms"].to_pylist()
    assert [time - START_MS for time in views] == [7_000, 108_000]
    items = [(row["item_id"], row["time_ms"]) for row in replayed.table("item").to_pylist()]
    assert items == [("10", START_MS - 15 * 86_400_000), ("11", START_MS)]


def test_a_missing_optional_file_is_a_note_and_its_features_are_null(
    official: Path, replay_official: "Callable[..., Replayed]"
) -> None:
    (official / "user_features_pure.csv").unlink()
    (official / "video_features_basic_pure.csv").unlink()
    replayed = replay_official()
    exposure = replayed.table("exposure").to_pylist()[0]
    summary = replayed.summary
    assert exposure["user_active_degree"] is exposure["candidates"][0]["author"] is None
    assert summary.counts["item"] == summary.counts["past_watch"] == 0
    assert [note.split()[0] for note in summary.notes] == [
        "log_standard_4_08_to_4_21_pure.csv",
        "user_features_pure.csv",
        "video_features_basic_pure.csv",
        "user_sequences.parquet",
    ]


def test_any_column_of_the_feature_files_can_be_declared(
    replay_official: "Callable[..., Replayed]",
) -> None:
    text = (ROOT / "schemas/specs/kuairand.toml").read_text()
    declared = (
        '[features]\nonehot_feat0 = { owner = "user", type = "id" }\n'
        'music_type = { owner = "item", type = "number" }\n'
    )
    spec = parse(text.replace("[features]\n", declared))
    exposure = replay_official(spec).table("exposure").to_pylist()[0]
    assert exposure["onehot_feat0"] == "3"
    assert exposure["candidates"][0]["music_type"] == 9.0


def test_a_feature_declared_with_a_type_that_its_values_have_not_is_told_to_the_user(
    replay_official: "Callable[..., Replayed]",
) -> None:
    text = (ROOT / "schemas/specs/kuairand.toml").read_text()
    upload, hour = 'upload_type = { owner = "item", type = ', 'hour = { owner = "context", type = '
    for spec in (
        parse(text.replace(upload + '"id"', upload + '"number"')),
        parse(text.replace(hour + '"id"', hour + '"ids"')),
    ):
        with pytest.raises(UserError, match="expected features"):
            replay_official(spec, overwrite=True)


def test_other_delays_may_be_assumed(replay_official: "Callable[..., Replayed]") -> None:
    replayed = replay_official(delays=Delays(click_ms=5_000, other_ms=1_000))
    clicks = [time - START_MS for time in replayed.table("click")["time_ms"].to_pylist()]
    likes = [time - START_MS for time in replayed.table("like")["time_ms"].to_pylist()]
    assert (clicks, likes) == ([1_000, 5_000, 95_000], [1_000, 91_000])


def _without_logs(folder: Path) -> None:
    for file in folder.glob("log_*"):
        file.unlink()


def _both_layouts(folder: Path) -> None:
    (folder / "exposures_1.parquet").write_bytes(b"")


def _replace(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


def _not_a_number(folder: Path) -> None:
    _replace(folder, STANDARD, str(START_MS), "noon")


def _no_column(folder: Path) -> None:
    _replace(folder, STANDARD, "is_like", "liked")


def _empty_value(folder: Path) -> None:
    _replace(folder, STANDARD, "\n1,10,", "\n,10,")


def _header_only(folder: Path) -> None:
    header = (folder / STANDARD).read_text().splitlines()[0]
    (folder / STANDARD).write_text(f"{header}\n")


def _empty_file(folder: Path) -> None:
    (folder / STANDARD).write_text("")


def _odd_date(folder: Path) -> None:
    _replace(folder, "video_features_basic_pure.csv", "2022-04-09", "in April")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_logs, r"expected exposures_\*.parquet or log_standard.*KuaiRand-Pure/data"),
        (_both_layouts, "received both"),
        (_not_a_number, "expected a log of KuaiRand .* received: .*time_ms"),
        (_no_column, "expected a column 'is_like', received none of that name"),
        (_empty_value, "expected a value of 'user_id' in every row, 1 lack one"),
        (_header_only, "expected at least one exposure, received none"),
        (_empty_file, "expected a log of KuaiRand"),
        (_odd_date, "expected features in the official release's format"),
    ],
)
def test_what_is_wrong_with_the_input_is_told_to_the_user(
    official: Path,
    tmp_path: Path,
    kuairand_spec: Spec,
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    spoil(official)
    with pytest.raises(UserError, match=message):
        kuairand.replay(official, tmp_path / "out", kuairand_spec)
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_no_folder_is_told_to_the_user(
    tmp_path: Path, kuairand_spec: Spec
) -> None:
    with pytest.raises(UserError, match="expected a folder .* received nothing there"):
        kuairand.replay(tmp_path / "nowhere", tmp_path / "out", kuairand_spec)


def test_a_feature_that_the_data_set_has_not_is_told_with_a_near_match(
    official: Path, tmp_path: Path
) -> None:
    text = (ROOT / "schemas/specs/kuairand.toml").read_text()
    spec = parse(text.replace("upload_type = {", "upload_typ = {"))
    with pytest.raises(UserError, match=r"item feature 'upload_typ'.*did you mean 'upload_type'"):
        kuairand.replay(official, tmp_path / "out", spec)
