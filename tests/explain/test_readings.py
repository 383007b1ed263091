"""What is kept of when events were read, and that explanations of late events rest on it."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.drivers.direct import run
from pipelines.drivers.direct.journal import Plan
from pipelines.drivers.direct.readings import READINGS, ReadingLog, Readings, Stretch
from pipelines.explain.explain import Stored, explain
from pipelines.explain.gather import Wanted, gather
from pipelines.explain.progress import Progress, progress_of
from pipelines.explain.story import Story
from pipelines.explain.text import as_text
from pipelines.sources.files import FilesSource
from pipelines.sources.raw import Range
from pipelines.steps.step import NO_CUT
from schemas.windows import WindowStore
from schemas.windows.sample import find_sample, revisions_of
from tests.pipeline.small_world import Events, small_spec, small_world, write_json_lines
from tests.pipeline.test_direct_driver import FAR_MS, settings


def plan(cut: int, *ranges: tuple[str, int]) -> Plan:
    """An epoch that reads files from positions on."""
    read = tuple(Range("click", name, first, first + 9, 1, first) for name, first in ranges)
    return Plan(1, read, cut, 0)


def test_a_file_is_noted_where_it_is_read_at_another_cut(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path)
    log.note(plan(NO_CUT, ("a", 0), ("b", 0)))
    log.note(plan(NO_CUT, ("a", 10)))
    log.note(plan(30, ("a", 20), ("a", 30)))
    log.note(plan(40, ("b", 50)))
    assert Readings.load(tmp_path).stretches == {
        "a": (Stretch(0, None), Stretch(20, 30)),
        "b": (Stretch(0, None), Stretch(50, 40)),
    }


def test_a_plan_that_is_run_again_notes_nothing_new(tmp_path: Path) -> None:
    ReadingLog(tmp_path).note(plan(30, ("a", 20)))
    before = (tmp_path / READINGS).read_bytes()
    ReadingLog(tmp_path).note(plan(30, ("a", 20)))
    assert (tmp_path / READINGS).read_bytes() == before


def test_a_line_that_a_crash_cut_short_is_written_again(tmp_path: Path) -> None:
    ReadingLog(tmp_path).note(plan(30, ("a", 20)))
    whole = (tmp_path / READINGS).read_bytes()
    (tmp_path / READINGS).write_bytes(whole + b'{"file": "b", "fir')
    assert set(Readings.load(tmp_path).stretches) == {"a"}
    ReadingLog(tmp_path).note(plan(40, ("b", 7)))
    assert Readings.load(tmp_path).stretches == {"a": (Stretch(20, 30),), "b": (Stretch(7, 40),)}


def test_a_position_belongs_to_the_last_stretch_before_it() -> None:
    readings = Readings({"a": (Stretch(0, None), Stretch(20, 30))})
    assert [readings.at("a", place) for place in (0, 19, 20, 99)] == [
        Stretch(0, None),
        Stretch(0, None),
        Stretch(20, 30),
        Stretch(20, 30),
    ]
    assert Readings({"a": (Stretch(5, 30),)}).at("a", 4) is None
    assert readings.at("b", 0) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world read in three goes; every fifth event comes in the go after its own."""
    folder = tmp_path_factory.mktemp("late")
    events = small_world(5, requests=150)
    parts: list[Events] = [{}, {}, {}]
    for stream, rows in events.items():
        for at, part in enumerate(parts):
            part[stream] = [e for n, e in enumerate(rows) if _go(n, e["time_ms"]) == at]
    for at, part in enumerate(parts):
        write_json_lines(part, folder / "part")
        for file in sorted((folder / "part").glob("*/*.jsonl")):
            into = folder / "events" / file.parent.name / f"{at}.jsonl"
            into.parent.mkdir(parents=True, exist_ok=True)
            file.rename(into)
        run(settings(folder, final=False, epoch_rows=200))
    return folder


def _go(number: int, time_ms: int) -> int:
    go = (time_ms >= 50_000) + (time_ms >= 70_000)
    return min(2, go + (number % 5 == 0))


def stories(folder: Path, progress: Progress | None = None) -> Iterator[Story]:
    """Every sample of the store explained, or over events read at other times than they were."""
    spec, store = small_spec(), WindowStore(folder / "windows")
    source = FilesSource(folder / "events", spec)
    items = tuple(f"i{number}" for number in range(40))
    known = {}
    for manifest in store.windows():
        for batch in store.read_users(manifest.window_start_ms, None):
            for user in batch.to_pylist():
                name = user["user_id"]
                if name not in known:
                    told = progress or progress_of(
                        folder / "state", folder / "windows", source, name
                    )
                    known[name] = told, gather(source, Wanted(name, "", items), told, FAR_MS)
                told, events = known[name]
                for request in user["requests"]:
                    for item in request["candidates"]["item_id"]:
                        where = store, manifest.window_start_ms, request["id"], item
                        sample = find_sample(*where, name)
                        last_ms = told.last_cut_ms or max(m.cut_ms for m in store.windows())
                        revisions = revisions_of(store, sample, last_ms)
                        yield explain(Stored(sample, revisions, last_ms), spec, events)


@pytest.mark.slow
def test_every_sample_of_a_store_with_late_events_agrees(folder: Path) -> None:
    reasons: Counter[str] = Counter()
    for story in stories(folder):
        assert story.agrees, as_text(story)
        considered = [one for task in story.tasks for one in task.considered]
        reasons.update(one.reason for one in considered)
        reasons["came late"] += sum(one.late for one in considered)
    assert min(reasons[name] for name in ("came late", "late", "closed", "retracted")) > 0
    assert min(reasons[name] for name in ("searchified", "exposed", "direct")) > 0


@pytest.mark.slow
def test_without_the_readings_late_events_would_be_explained_wrongly(folder: Path) -> None:
    assert not all(story.agrees for story in stories(folder, Progress()))


def test_offsets_tell_what_was_not_read_and_dead_letters_what_was_refused(folder: Path) -> None:
    source = FilesSource(folder / "events", small_spec())
    told = [progress_of(folder / "state", folder / "windows", source, f"u{n}") for n in range(60)]
    refused = {place: reason for one in told for place, reason in one.refused.items()}
    assert set(refused.values()) == {"late"}
    for (name, position), _ in list(refused.items())[:20]:
        with (folder / "events" / name).open("rb") as file:
            file.seek(position)
            assert json.loads(file.readline())["time_ms"] <= (told[0].last_cut_ms or 0)
    sizes = {file.name: file.size for file in source.discover()}
    assert told[0].unread_from == sizes
