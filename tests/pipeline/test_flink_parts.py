"""The parts of the Flink driver that need no cluster: time, cuts, legs, cells, wrong usage."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from millstream.cli import main
from pipelines.dead_letters import DeadLetter, dead_letter_table
from pipelines.drivers.direct.identity import adopted, kept
from pipelines.drivers.direct.journal import Commit
from pipelines.drivers.flink.cuts import (
    MOST_CUTS,
    cut_at,
    cuts_between,
    cuts_of_events,
    moment_of,
    watermark_of,
)
from pipelines.drivers.flink.gather import _Gather, _packed
from pipelines.drivers.flink.job_server import JobServer
from pipelines.drivers.flink.leg import Leg, LegCoder, LegTracker
from pipelines.drivers.flink.run import newest_checkpoint
from pipelines.drivers.flink.shard_state import Cells, ShardState
from pipelines.drivers.flink.tell import _Tell
from pipelines.reports import Report
from pipelines.steps.step import FINAL_CUT, NO_CUT
from schemas.durable import read_json
from schemas.errors import UserError
from schemas.spec import Window
from schemas.windows import Counts, FileEntry
from tests.pipeline.small_world import SPEC_TOML, small_spec, small_world, write_json_lines

WINDOW = Window(length_ms=10, maturity_ms=5)
"""Cuts at 5, 15, 25 …; the window [0, 10) is sealed at 15."""


@given(st.integers(-(1 << 50), 1 << 50))
def test_a_cut_survives_the_way_into_beam_s_time_and_back(cut: int) -> None:
    assert cut_at(moment_of(cut)) == cut


def test_the_cut_of_a_complete_input_stands_before_the_end_of_beam_s_time() -> None:
    assert cut_at(moment_of(FINAL_CUT)) == FINAL_CUT
    assert moment_of(FINAL_CUT) < MAX_TIMESTAMP


def test_beam_fires_a_cut_when_our_watermark_reaches_it() -> None:
    """Beam fires what is before its watermark."""
    assert moment_of(15) < watermark_of(15)
    assert moment_of(15) >= watermark_of(14)


def test_an_exposure_matters_at_its_window_s_cut_and_feedback_at_the_next() -> None:
    exposures = {"exposure": pa.table({"time_ms": [0, 9, 10]})}
    feedback = {"feedback": pa.table({"time_ms": [5, 6]}), "item": pa.table({"time_ms": [26]})}
    assert cuts_of_events(exposures, WINDOW).tolist() == [15, 25]
    assert cuts_of_events(feedback, WINDOW).tolist() == [5, 15, 35]
    assert cuts_of_events({}, WINDOW).tolist() == []


@given(st.integers(-200, 200), st.integers(0, 200))
def test_the_cuts_that_time_has_passed_are_those_on_the_grid(after_ms: int, passed_ms: int) -> None:
    until_ms = after_ms + passed_ms
    grid = [cut for cut in range(-305, 505, 10) if after_ms < cut <= until_ms]
    assert cuts_between(after_ms, until_ms, WINDOW).tolist() == grid


def test_a_leap_in_time_wakes_a_shard_a_bounded_number_of_times() -> None:
    cuts = cuts_between(0, 1_000_000, WINDOW)
    assert len(cuts) == MOST_CUTS
    assert cuts[-1] == 999_995


def test_a_leg_is_cut_off_where_it_was_claimed_and_the_rest_goes_on_from_there() -> None:
    tracker = LegTracker(Leg())
    read = Commit(epoch=1, offsets={"click/0": 7})
    assert tracker.try_claim(read)
    split = tracker.try_split(0)
    assert split is not None and split[1] == Leg(read)
    assert tracker.check_done()
    assert not tracker.try_claim(Commit(epoch=2))
    assert LegTracker(Leg()).try_split(0.5) is None


def test_a_leg_that_was_left_unread_is_an_error_and_one_that_was_ended_is_not() -> None:
    tracker = LegTracker(Leg())
    with pytest.raises(ValueError, match="expected a leg that was read to its end or cut off"):
        tracker.check_done()
    assert tracker.try_claim(None)
    assert tracker.check_done()
    assert tracker.try_split(0) is None


def test_a_leg_comes_back_from_a_checkpoint_as_it_was() -> None:
    leg = Leg(Commit(epoch=3, offsets={"click/0": 7}, active_ms={"click/0": 1}, newest_ms=5))
    assert LegCoder().decode(LegCoder().encode(leg)) == leg


class Value:
    """A cell with one value."""

    value: bytes | None = None

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value


class Bag(list[bytes]):
    """A cell with many, which counts what is written."""

    written = 0

    def read(self) -> list[bytes]:
        return list(self)

    def add(self, value: bytes) -> None:
        self.written += 1
        self.append(value)


def test_tables_that_do_not_change_are_written_once() -> None:
    bag = Bag()
    cells = Cells(Value(), bag)
    empty = cells.load()
    assert (empty.last_cut, dict(empty.tables)) == (NO_CUT, {})
    small, first, second = (pa.table({"a": np.arange(n)}) for n in (2, 5, 7))
    one = ShardState(15, {"small": small, "segment-x-0": first})
    cells.save(empty, one)
    loaded = cells.load()
    assert loaded.last_cut == 15 and dict(loaded.tables) == dict(one.tables)
    two = ShardState(25, {"small": first, "segment-x-0": first, "segment-x-1": second})
    cells.save(loaded, two)
    assert bag.written == 2
    assert dict(cells.load().tables) == dict(two.tables)
    three = ShardState(35, {"segment-x-1": second})
    cells.save(cells.load(), three)
    assert len(bag) == 1
    assert dict(cells.load().tables) == dict(three.tables)


class Timer:
    """A timer that nobody waits for."""

    def set(self, moment: Timestamp) -> None:
        self.moment = moment


def letter(position: int) -> bytes:
    """A report on one event that was read and could not be used."""
    table = dead_letter_table("click", "click/0", [DeadLetter(position, "bad_json", None, b"{")])
    return Report.of(Counter({"dead/click/bad_json": 1}), table).to_bytes()


def test_what_was_told_since_a_checkpoint_is_taken_back_and_told_again_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "s").mkdir()
    tell, held, told = _Tell(tmp_path / "s", tmp_path / "w"), Bag(), Value()
    for position in range(3):
        tell._told_s = float("-inf")
        tell.process((0, letter(position)), held, told, Timer())
        if position == 0:
            checkpoint = told.value
    assert positions(tmp_path) == {1: [0], 2: [1], 3: [2]}
    told.value = checkpoint
    tell.process((0, letter(1)), held, told, Timer())
    tell.process((0, letter(2)), held, told, Timer())
    tell.at_the_end(held, told)
    assert positions(tmp_path) == {1: [0], 2: [1, 2]}
    totals = read_json(tmp_path / "s" / "totals.json")
    assert totals["counts"] == {"dead/click/bad_json": 3} and totals["complete"]


def positions(folder: Path) -> dict[int, list[int]]:
    """The positions of dead letters by the number of their file."""
    return {
        int(path.stem.removeprefix("flink-")): pq.read_table(path)["position"].to_pylist()
        for path in sorted((folder / "w" / "dead_letters").glob("*.parquet"))
    }


def entry(name: str) -> FileEntry:
    """A file without a record."""
    return FileEntry(name, 0, "", 0, None, Counts())


def given(gather: _Gather, bag: Bag, cut: int) -> list[tuple[int, list[str]]]:
    """The windows that are whole at a cut, with the names of their files."""
    found = gather.at_cut(moment_of(cut), bag)
    return [(start_ms, [file.name for file in files]) for start_ms, files in found]


def test_windows_come_in_order_of_time_each_when_its_last_file_has_come() -> None:
    gather, bag, tags = _Gather(), Bag(), Tags()
    made = [(10, "b", 25), (0, "d", 15), (10, "a", 25), (0, "c", 15), (20, "e", 25), (20, "f", 35)]
    for start_ms, name, cut in made:
        packed = _packed(start_ms, entry(name), moment_of(cut))
        gather.process(packed, moment_of(cut), bag, tags)
    assert tags.set_at == {"15": moment_of(15), "25": moment_of(25), "35": moment_of(35)}
    assert given(gather, bag, 15) == [(0, ["c", "d"])]
    assert given(gather, bag, 25) == [(10, ["a", "b"])]
    assert given(gather, bag, 35) == [(20, ["e", "f"])]
    assert bag == []
    for start_ms, name, cut in made:
        bag.add(_packed(start_ms, entry(name), moment_of(cut))[1])
    assert [start_ms for start_ms, _ in given(gather, bag, FINAL_CUT)] == [0, 10, 20]


class Tags:
    """A timer that remembers what was set, by tag."""

    def __init__(self) -> None:
        self.set_at: dict[str, Timestamp] = {}

    def set(self, moment: Timestamp, dynamic_timer_tag: str) -> None:
        self.set_at[dynamic_timer_tag] = moment


def test_the_newest_complete_checkpoint_of_any_job_is_found(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for job, number in (("a", 9), ("b", 1)):
        folder = tmp_path / job / f"chk-{number}"
        folder.mkdir(parents=True)
        (folder / "_metadata").touch()
    (tmp_path / "b" / "chk-2").mkdir()
    assert newest_checkpoint(tmp_path) == tmp_path / "b" / "chk-1"


def test_a_job_server_that_is_not_there_is_told_in_one_paragraph() -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1: expected Beam's job server for Flink"):
        JobServer("127.0.0.1:1").check()


BASE = ["pipeline", "--spec", "spec.toml", "--windows", "w"]
KAFKA = ["--source", "kafka://127.0.0.1:1"]
FLINK = ["--runner", "flink", "--flink-job-server", "h:1", "--flink-rest", "http://h:2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*KAFKA, "--flink-workers", "h:1"], "--flink-workers: expected --runner flink with it"),
        ([*KAFKA, "--runner", "flink", "--final"], "expected --flink-job-server HOST:PORT"),
        (["--source", "events", *FLINK, "--final"], "--source: expected kafka://HOST:PORT"),
        ([*KAFKA, *FLINK], "--runner flink: expected --follow, or --final"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*BASE, *words]) == 2
    assert said in capsys.readouterr().err


def test_without_a_job_server_the_command_fails_in_one_paragraph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC_TOML)
    words = ["--flink-job-server", "127.0.0.1:1", "--flink-rest", "http://127.0.0.1:1", "--final"]
    assert main([*BASE, *KAFKA, "--runner", "flink", *words]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("millstream: 127.0.0.1:1: expected Beam's job server for Flink")
    assert "--flink-job-server HOST:PORT" in said


def test_state_of_the_direct_runner_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC_TOML)
    write_json_lines(small_world(1, requests=5), tmp_path / "events")
    assert main([*BASE, "--source", "events"]) == 0
    capsys.readouterr()
    assert main([*BASE, *KAFKA, *FLINK, "--final"]) == 1
    assert "expected state of the flink runner, received state of the direct" in (
        capsys.readouterr().err
    )


def test_state_of_the_flink_runner_is_refused_by_the_direct_one(tmp_path: Path) -> None:
    spec = small_spec()
    kept(tmp_path, spec, 3, "flink")
    assert kept(tmp_path, spec, 3, "flink").shards == 3
    with pytest.raises(UserError, match="state of the direct runner, received state of the flink"):
        adopted(tmp_path, spec, None)
    with pytest.raises(UserError, match="expected shards 4, received 3"):
        kept(tmp_path, spec, 4, "flink")
