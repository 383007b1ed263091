"""The direct driver: the same events give the same windows, however they are read."""

import json
import random
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest
import xxhash

from pipelines.drivers.direct import DirectSettings, Summary, run
from pipelines.drivers.direct import identity as identities
from pipelines.drivers.direct.identity import Identity
from pipelines.drivers.direct.state_store import StateStore
from schemas.errors import UserError
from schemas.windows import WindowStore
from tests.oracle import Event, Outcome, Read, SealAll
from tests.oracle import run as run_oracle
from tests.pipeline.small_world import Events, small_spec, small_world, write_json_lines
from tests.pipeline.test_kill import command, prepare

FAR_MS = 10**13


def settings(folder: Path, **changes: Any) -> DirectSettings:
    """A complete run over `folder/events` into `folder/windows`."""
    base = DirectSettings(
        spec=small_spec(),
        source=folder / "events",
        windows=folder / "windows",
        state=folder / "state",
        shards=3,
        final=True,
    )
    return replace(base, **changes)


def built(folder: Path, events: Events, files: int = 1, **changes: Any) -> WindowStore:
    """The windows of a complete run over these events."""
    write_json_lines(events, folder / "events", files)
    run(settings(folder, **changes))
    return WindowStore(folder / "windows")


def records(store: WindowStore) -> dict[int, list[dict[str, Any]]]:
    """All user records by window, by user id, whatever shard they are in."""
    return {
        manifest.window_start_ms: sorted(
            (
                row
                for batch in store.read_users(manifest.window_start_ms, small_spec())
                for row in batch.to_pylist()
            ),
            key=lambda row: row["user_id"].encode(),
        )
        for manifest in store.windows()
    }


def revisions(store: WindowStore) -> dict[int, list[dict[str, Any]]]:
    """All revisions by the window that carries them, sorted."""
    return {
        manifest.window_start_ms: sorted(
            store.read_revisions(manifest.window_start_ms).to_pylist(), key=str
        )
        for manifest in store.windows()
    }


def digests(store: WindowStore) -> dict[int, str]:
    return {manifest.window_start_ms: manifest.digest for manifest in store.windows()}


def test_sealed_files_hold_what_the_oracle_says(tmp_path: Path) -> None:
    events = small_world(1, requests=120)
    store = built(tmp_path, events)
    schedule = [
        Read(
            [
                Event(s, fields, "", row)
                for s, rows in events.items()
                for row, fields in enumerate(rows)
            ],
            FAR_MS,
        ),
        SealAll(),
    ]
    expected: Outcome = run_oracle(small_spec(), schedule)
    assert records(store) == {start: one.users for start, one in expected.windows.items()}
    assert revisions(store) == {
        start: sorted(one.revisions, key=str) for start, one in expected.windows.items()
    }
    assert sum(len(one.revisions) for one in expected.windows.values()) > 5
    requests = [r for one in expected.windows.values() for u in one.users for r in u["requests"]]
    assert sum(r["source_request"] is not None for r in requests) > 5


def test_order_files_and_epochs_change_no_byte(tmp_path: Path) -> None:
    events = small_world(2)
    one_go = built(tmp_path / "a", events)
    shuffled = {stream: random.Random(9).sample(rows, len(rows)) for stream, rows in events.items()}
    many = built(tmp_path / "b", shuffled, files=5, epoch_rows=400)
    assert digests(one_go) == digests(many)
    assert len(digests(one_go)) >= 12


@pytest.mark.parametrize("shards", [1, 16])
def test_the_number_of_shards_changes_no_record(tmp_path: Path, shards: int) -> None:
    events = small_world(3)
    reference = built(tmp_path / "a", events, shards=3)
    other = built(tmp_path / "b", events, shards=shards)
    assert records(other) == records(reference)
    assert revisions(other) == revisions(reference)


@pytest.mark.parametrize(
    ("shards", "expected"),
    [(1, 1), (2, 1), (3, 1), (4, 1), (5, 5), (6, 2), (7, 7), (8, 2), (9, 3), (16, 4), (30, 10)],
)
def test_up_to_four_shards_of_windows_are_one_of_the_state(shards: int, expected: int) -> None:
    assert Identity.of(small_spec(), 99).with_shards(shards).shards_of_state == expected


def test_how_many_shards_the_state_has_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = small_world(10)
    few = built(tmp_path / "a", events, shards=8, epoch_rows=700)
    monkeypatch.setattr(identities, "TOGETHER", 1)
    many = built(tmp_path / "b", events, shards=8, epoch_rows=700)
    assert digests(few) == digests(many)
    for folder, expected in (("a", 2), ("b", 8)):
        shards = (tmp_path / folder / "state" / "shards" / "attribute").iterdir()
        assert {one.name for one in shards} == {f"{shard:05d}" for shard in range(expected)}


def test_a_users_record_is_in_the_file_of_the_users_shard(tmp_path: Path) -> None:
    store = built(tmp_path, small_world(11), shards=8)
    seen = set()
    for file in (tmp_path / "windows").glob("*/shard-*.avro"):
        with file.open("rb") as opened:
            users = [record["user_id"] for record in fastavro.reader(opened)]
        number = int(file.stem.removeprefix("shard-"))
        assert {xxhash.xxh3_64_intdigest(user.encode()) % 8 for user in users} == {number}
        seen.add(number)
    assert seen == set(range(8)) and len(digests(store)) >= 12


def test_state_of_older_epochs_is_removed_while_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = [0]

    def looking(store: StateStore, step: str, shard: int, epoch: int, tables: Any) -> None:
        save(store, step, shard, epoch, tables)
        folder = store.root / step / f"{shard:05d}"
        most[0] = max(most[0], len(list(folder.glob("*.tables"))))

    save = StateStore.save
    monkeypatch.setattr(StateStore, "save", looking)
    built(tmp_path, small_world(12), epoch_rows=200)
    assert most == [2]
    left = list((tmp_path / "state" / "shards").glob("*/*/*.tables"))
    assert len(left) == len({path.parent for path in left})


def test_once_seals_what_the_watermark_allows_and_a_later_run_goes_on(tmp_path: Path) -> None:
    events = small_world(4)
    reference = built(tmp_path / "a", events)
    early = {s: [e for e in rows if e["time_ms"] < 60_000] for s, rows in events.items()}
    late = {s: [e for e in rows if e["time_ms"] >= 60_000] for s, rows in events.items()}
    write_json_lines(early, tmp_path / "b" / "events")
    first = run(settings(tmp_path / "b", final=False))
    assert 0 < first.sealed < len(digests(reference))
    for stream, rows in late.items():
        path = tmp_path / "b" / "events" / stream / "later.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    run(settings(tmp_path / "b"))
    assert digests(WindowStore(tmp_path / "b" / "windows")) == digests(reference)


def test_a_planned_epoch_that_died_is_run_again_from_its_plan(tmp_path: Path) -> None:
    events = small_world(5)
    reference = built(tmp_path / "a", events)
    write_json_lines(events, tmp_path / "b" / "events")
    run(settings(tmp_path / "b", final=False, epoch_rows=500))
    commits = sorted((tmp_path / "b" / "state" / "journal").glob("*.commit.json"))
    commits[-1].unlink()
    run(settings(tmp_path / "b", epoch_rows=500))
    assert digests(WindowStore(tmp_path / "b" / "windows")) == digests(reference)


def test_running_again_changes_nothing(tmp_path: Path) -> None:
    built(tmp_path, small_world(6, requests=100))
    again: Summary = run(settings(tmp_path))
    assert (again.epochs, again.sealed, again.final) == (0, 0, True)


def test_every_event_is_accounted_for(tmp_path: Path) -> None:
    events = small_world(7)
    write_json_lines(events, tmp_path / "events")
    bad = tmp_path / "events" / "click" / "bad.jsonl"
    bad.write_bytes(b'{"event_id": "x"}\nnot json\n{"time_ms": 99999999999999999}\n\xff\xfe{}\n')
    summary = run(settings(tmp_path))
    read = sum(n for name, n in summary.totals.items() if name.startswith("accepted/"))
    dead = sum(n for name, n in summary.totals.items() if name.startswith("dead/"))
    assert read == sum(len(rows) for rows in events.values())
    assert dead - summary.totals["dead/refund/unmatched"] == 4
    assert list((tmp_path / "windows" / "dead_letters").glob("*.parquet"))


def test_state_of_another_spec_or_shard_count_is_refused(tmp_path: Path) -> None:
    built(tmp_path, small_world(8, requests=30))
    with pytest.raises(UserError, match="expected shards 5, received 3"):
        run(settings(tmp_path, shards=5))


def test_new_input_after_final_is_refused(tmp_path: Path) -> None:
    built(tmp_path, small_world(8, requests=30))
    event = small_world(9, 30)["click"][0]
    (tmp_path / "events" / "click" / "later.jsonl").write_text(json.dumps(event) + "\n")
    with pytest.raises(UserError, match="declared complete"):
        run(settings(tmp_path))


def test_a_state_folder_serves_one_pipeline_at_a_time(tmp_path: Path) -> None:
    import fcntl

    write_json_lines(small_world(8, requests=30), tmp_path / "events")
    (tmp_path / "state").mkdir()
    with (tmp_path / "state" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another pipeline works on"):
            run(settings(tmp_path))


def test_an_empty_source_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    with pytest.raises(UserError, match="expected a folder for each stream"):
        run(settings(tmp_path))


def test_a_window_folder_that_cannot_be_written_is_told_in_one_paragraph(tmp_path: Path) -> None:
    prepare(tmp_path / "world")
    (tmp_path / "world" / "windows").write_text("a file stands here")
    ended = subprocess.run(
        command(), cwd=tmp_path / "world", capture_output=True, text=True, check=False
    )
    complaint = [line for line in ended.stderr.splitlines() if line.startswith("millstream: ")]
    assert ended.returncode == 1
    assert "Not a directory" in complaint[0]
    assert "Traceback" not in ended.stderr
