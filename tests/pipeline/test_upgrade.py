"""State that is handed on: to a grown spec, to another number of shards, or not at all."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines import packets
from pipelines.drivers.direct import identity as identities
from pipelines.drivers.direct import rescale, run
from pipelines.drivers.direct.identity import STATE_VERSION, stored_identity
from pipelines.drivers.direct.journal import Commit, Journal
from pipelines.drivers.direct.state_store import StateStore
from pipelines.steps.attribute.compact import with_requests
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.step import NO_CUT
from schemas.durable import read_json, write_json
from schemas.errors import UserError
from schemas.spec import Spec, parse
from schemas.windows import WindowStore
from tests.pipeline.small_world import SPEC_TOML, Events, small_spec, small_world, write_json_lines
from tests.pipeline.test_direct_driver import built, digests, records, revisions, settings
from tests.pipeline.test_follow import halves

MOMENT_MS, LAST_CUT_MS = 60_000, 55_000
"""Where the early half ends: newest event just before it, slack 2 s, cuts at 15, 25 … s."""

GROWN_TOML = (
    SPEC_TOML.replace('["home", "side"]', '["attic", "home", "side"]')
    .replace("[domains.search]", '[domains.aisle]\nscenarios = ["shelf"]\n\n[domains.search]')
    .replace("[streams]", '[streams]\nlike = { kind = "click" }')
    .replace(
        "[tasks]",
        '[tasks]\nlike = { stream = "like", horizon = "6s" }\n'
        'soon = { stream = "click", horizon = "3s" }',
    )
    .replace(
        "[sequences]",
        'colours = { owner = "item", type = "ids" }\n'
        'device = { owner = "context", type = "id", default = "none" }\n\n[sequences]',
    )
    .replace('features = ["brand"]', 'features = ["brand", "colours"]')
)
"""A scenario, a domain before the others, a stream, two tasks, two features, sequences with one."""


def grown_world(seed: int, moment_ms: int = MOMENT_MS) -> Events:
    """The small world, of which all that is new happens from a moment on."""
    events, rng = small_world(seed, requests=500), random.Random(seed)
    for exposure in events["exposure"]:
        if exposure["time_ms"] < moment_ms:
            continue
        exposure["device"] = rng.choice([None, "phone"])
        exposure["scenario"] = rng.choice([exposure["scenario"], "attic", "shelf"])
        for candidate in exposure["candidates"]:
            candidate["colours"] = rng.choice([None, [], ["red", "blue"]])
    clicks = [click for click in events["click"] if click["time_ms"] >= moment_ms]
    events["like"] = [dict(click) for click in clicks[::3]]
    for click in clicks:
        click["colours"] = rng.choice([None, ["red"]])
    return events


def early_run(folder: Path, events: Events, moment_ms: int = MOMENT_MS, **changes: Any) -> Events:
    """Run over what comes before a moment; what is left."""
    early, late = halves(events, moment_ms)
    write_json_lines({s: rows for s, rows in early.items() if rows}, folder / "events")
    summary = run(settings(folder, final=False, **changes))
    assert summary.sealed > 2
    return late


def add(folder: Path, events: Events) -> None:
    for stream, rows in events.items():
        (folder / "events" / stream).mkdir(exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "events" / stream / "later.jsonl").write_text(text, encoding="utf-8")


def files_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def whole(store: WindowStore) -> bool:
    return not [fault for one in store.windows() for fault in store.verify(one.window_start_ms)]


@pytest.mark.parametrize(("before", "after"), [(3, 5), (5, 2), (1, 4)])
def test_rescaled_state_gives_the_windows_of_that_many_shards_from_the_start(
    tmp_path: Path, before: int, after: int
) -> None:
    events = small_world(71, requests=500)
    reference = built(tmp_path / "reference", events, shards=after)
    late = early_run(tmp_path / "rescaled", events, shards=before)
    assert rescale(tmp_path / "rescaled" / "state", after) == before
    sealed = set(digests(WindowStore(tmp_path / "rescaled" / "windows")))
    add(tmp_path / "rescaled", late)
    summary = run(settings(tmp_path / "rescaled", shards=None))
    store = WindowStore(tmp_path / "rescaled" / "windows")
    assert records(store) == records(reference) and revisions(store) == revisions(reference)
    assert sum(map(len, revisions(store).values())) > 5
    later = {s: digest for s, digest in digests(reference).items() if s not in sealed}
    assert {s: digests(store)[s] for s in later} == later and len(later) >= 6
    assert whole(store) and summary.totals["duplicate"] > 0
    assert summary.totals == run(settings(tmp_path / "reference", shards=after)).totals


def test_a_state_is_rescaled_again_and_again(tmp_path: Path) -> None:
    events = small_world(72, requests=400)
    reference = built(tmp_path / "reference", events, shards=3)
    late = early_run(tmp_path / "rescaled", events)
    for shards in (7, 1, 1, 4, 3):
        rescale(tmp_path / "rescaled" / "state", shards)
    assert stored_identity(tmp_path / "rescaled" / "state").generation == 4
    assert len(list((tmp_path / "rescaled" / "state").glob("shards*"))) == 1
    add(tmp_path / "rescaled", late)
    run(settings(tmp_path / "rescaled"))
    assert digests(WindowStore(tmp_path / "rescaled" / "windows")) == digests(reference)


def test_state_with_a_shard_for_each_of_the_windows_goes_on_and_is_dealt_out_to_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = small_world(79, requests=300)
    reference = built(tmp_path / "reference", events, shards=8)
    state = tmp_path / "old" / "state"
    with monkeypatch.context() as patched:
        patched.setattr(identities, "TOGETHER", 1)
        late = early_run(tmp_path / "old", events, shards=8)
    values = read_json(state / "identity.json")
    del values["state_shards"]
    write_json(state / "identity.json", values)
    add(tmp_path / "old", late)
    run(settings(tmp_path / "old", shards=8, final=False))
    assert len(list((state / "shards" / "attribute").iterdir())) == 8
    assert rescale(state, 8) == 8
    assert len(list((state / "shards-1" / "attribute").iterdir())) == 2
    run(settings(tmp_path / "old", shards=8))
    assert digests(WindowStore(tmp_path / "old" / "windows")) == digests(reference)


def test_a_grown_spec_goes_on_and_gives_what_it_would_have_given_from_the_start(
    tmp_path: Path,
) -> None:
    events, grown = grown_world(73), parse(GROWN_TOML)
    reference = built(tmp_path / "reference", events, spec=grown)
    late = early_run(tmp_path / "grown", events)
    sealed = set(digests(WindowStore(tmp_path / "grown" / "windows")))
    assert max(sealed) + 15_000 == LAST_CUT_MS
    add(tmp_path / "grown", late)
    run(settings(tmp_path / "grown", spec=grown))
    store = WindowStore(tmp_path / "grown" / "windows")
    ours, theirs = digests(store), digests(reference)
    assert ours.keys() == theirs.keys() and whole(store)
    # Requests up to the last cut have no label of a new task; the others lack nothing.
    after = [start for start in theirs if start > LAST_CUT_MS]
    assert len(after) >= 6
    assert {s: ours[s] for s in after} == {s: theirs[s] for s in after}
    between = [start for start in theirs if start not in sealed and start <= LAST_CUT_MS]
    assert between == [50_000]
    assert rows_of(store, 50_000, grown) == [
        without_new_labels(row) for row in rows_of(reference, 50_000, grown)
    ]
    assert records(WindowStore(tmp_path / "grown" / "windows")).keys() == theirs.keys()
    old = [task for row in rows_of(store, min(sealed), grown) for task in labels_of(row, "soon")]
    assert old and set(old) == {None}


def rows_of(store: WindowStore, start_ms: int, spec: Spec) -> list[dict[str, Any]]:
    return [r for batch in store.read_users(start_ms, spec) for r in batch.to_pylist()]


def labels_of(row: dict[str, Any], task: str) -> list[float | None]:
    return [v for r in row["requests"] for v in r["candidates"]["labels"][task]["value"]]


def without_new_labels(row: dict[str, Any]) -> dict[str, Any]:
    """A record as it is where two tasks joined after the last cut."""
    for request in row["requests"]:
        if request["time_ms"] > LAST_CUT_MS:
            continue
        for task in ("like", "soon"):
            label = request["candidates"]["labels"][task]
            for name, values in label.items():
                label[name] = [False if name == "open" else None] * len(values)
    return row


def test_a_state_grows_and_is_rescaled_in_turn(tmp_path: Path) -> None:
    events, grown = grown_world(74), parse(GROWN_TOML)
    reference = built(tmp_path / "reference", events, spec=grown, shards=4)
    late = early_run(tmp_path / "grown", events)
    first, second = halves(late, 80_000)
    add(tmp_path / "grown", first)
    run(settings(tmp_path / "grown", spec=grown, final=False))
    rescale(tmp_path / "grown" / "state", 4)
    for stream, rows in second.items():
        path = tmp_path / "grown" / "events" / stream / "last.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    run(settings(tmp_path / "grown", spec=grown, shards=None))
    ours = digests(WindowStore(tmp_path / "grown" / "windows"))
    after = {s: d for s, d in digests(reference).items() if s >= 80_000}
    assert {s: ours[s] for s in after} == after and len(after) >= 4


def test_a_change_that_cannot_be_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    late = early_run(tmp_path, small_world(75, requests=200))
    before = files_of(tmp_path)
    changed = parse(SPEC_TOML.replace('length = "10s"', 'length = "5s"'))
    with pytest.raises(UserError, match=r"window\.length_ms: expected 10000, received 5000\..*"):
        run(settings(tmp_path, spec=changed))
    shorter = parse(SPEC_TOML.replace('horizon = "8s"', 'horizon = "4s"'))
    with pytest.raises(UserError, match=r"tasks\.click\.horizon_ms: .* Nothing was changed"):
        run(settings(tmp_path, spec=shorter))
    assert files_of(tmp_path) == before
    add(tmp_path, late)
    assert run(settings(tmp_path)).final


class PowerCut(BaseException):
    """The machine went down."""


def test_an_epoch_that_died_while_windows_were_written_is_ended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = small_world(76, requests=200)
    reference = built(tmp_path / "reference", events)
    early, late = halves(events, MOMENT_MS)
    write_json_lines(early, tmp_path / "died" / "events")
    commit = Journal.commit

    def dying_commit(journal: Journal, made: Commit) -> None:
        if made.cut != NO_CUT:
            raise PowerCut
        commit(journal, made)

    with monkeypatch.context() as patched, pytest.raises(PowerCut):
        patched.setattr(Journal, "commit", dying_commit)
        run(settings(tmp_path / "died", final=False))
    before = files_of(tmp_path / "died")
    for attempt in (
        lambda: rescale(tmp_path / "died" / "state", 2),
        lambda: run(settings(tmp_path / "died", spec=parse(GROWN_TOML))),
    ):
        with pytest.raises(UserError, match="which died while windows were written"):
            attempt()
    assert files_of(tmp_path / "died") == before
    run(settings(tmp_path / "died", final=False))
    rescale(tmp_path / "died" / "state", 2)
    rescale(tmp_path / "died" / "state", 3)
    add(tmp_path / "died", late)
    run(settings(tmp_path / "died"))
    assert digests(WindowStore(tmp_path / "died" / "windows")) == digests(reference)


def goes_down(path: Path, value: Any) -> None:
    """A `write_json` that does not come to write."""
    raise PowerCut


@pytest.mark.parametrize("after_files", [0, 1, 5])
def test_a_crash_while_a_state_is_handed_on_leaves_the_old_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_files: int
) -> None:
    events = small_world(77, requests=200)
    reference = built(tmp_path / "reference", events)
    late = early_run(tmp_path / "crashed", events)
    state = tmp_path / "crashed" / "state"
    before = files_of(state)
    save, saved = StateStore.save, [0]

    def dying_save(store: StateStore, *words: Any) -> None:
        if saved[0] == after_files:
            raise PowerCut
        saved[0] += 1
        save(store, *words)

    with monkeypatch.context() as patched:
        patched.setattr(StateStore, "save", dying_save)
        with pytest.raises(PowerCut):
            rescale(state, 5)
    with monkeypatch.context() as patched:
        patched.setattr(identities, "write_json", goes_down)
        with pytest.raises(PowerCut):
            rescale(state, 5)
    left = files_of(state)
    assert {name: left[name] for name in before} == before and len(left) > len(before)
    add(tmp_path / "crashed", late)
    run(settings(tmp_path / "crashed"))
    assert digests(WindowStore(tmp_path / "crashed" / "windows")) == digests(reference)
    assert [folder.name for folder in state.glob("shards*")] == ["shards"]


def test_state_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    events = small_world(78, requests=300)
    reference = built(tmp_path / "reference", events, shards=2)
    late = early_run(tmp_path / "old", events)
    state = tmp_path / "old" / "state"
    as_version_3(state)
    with pytest.raises(UserError, match="received version 3. Run the pipeline once"):
        rescale(state, 2)
    other = parse(SPEC_TOML.replace("history = 5", "history = 6"))
    with pytest.raises(UserError, match="does not say what its spec was"):
        run(settings(tmp_path / "old", spec=other))
    run(settings(tmp_path / "old", final=False))
    assert stored_identity(state).state_version == STATE_VERSION
    rescale(state, 2)
    add(tmp_path / "old", late)
    run(settings(tmp_path / "old", shards=2))
    ours = digests(WindowStore(tmp_path / "old" / "windows"))
    after = {s: d for s, d in digests(reference).items() if s > LAST_CUT_MS}
    assert {s: ours[s] for s in after} == after


def as_version_3(state: Path) -> None:
    """What the version before wrote: no spec's values, users' views without their items, and
    samples in the order of their requests, without saying where."""
    values = read_json(state / "identity.json")
    old = {"spec": values["spec"], "shards": values["shards"], "state_version": 3}
    write_json(state / "identity.json", old)
    for path in (state / "shards" / "resolve_by_item").glob("*/segment-latest-*.arrow"):
        ((name, table),) = packets.read(path).items()
        path.write_bytes(packets.encode({name: pa.table(table.drop_columns(["item"]))}))
    for path in (state / "shards" / "attribute").glob("*/segment-*.arrow"):
        path.write_bytes(packets.encode(as_text(packets.read(path))))
    for path in (state / "shards" / "attribute").glob("*/*.tables"):
        tables = as_text(packets.read(path))
        memory = Memory.of(tables)
        whole = with_requests(memory, np.arange(len(memory.requests))).tables()
        tables |= {
            **whole,
            "requests": whole["requests"].drop_columns(["first"]),
            "samples": whole["samples"].drop_columns(["time_ms"]),
        }
        del tables["since"]
        path.write_bytes(packets.encode(tables))


def as_text(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """The tables with plain text in place of words."""
    return {name: table.cast(pa.schema(map(plain, table.schema))) for name, table in tables.items()}


def plain(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_dictionary(kind):
        return field.with_type(kind.value_type)
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        parts = pa.struct([plain(part) for part in kind.value_type])
        return field.with_type(pa.list_(kind.value_field.with_type(parts)))
    return field


def test_state_of_a_version_to_come_is_refused(tmp_path: Path) -> None:
    early_run(tmp_path, small_world(79, requests=100))
    path = tmp_path / "state" / "identity.json"
    write_json(path, read_json(path) | {"state_version": STATE_VERSION + 1})
    with pytest.raises(UserError, match=f"received version {STATE_VERSION + 1}"):
        run(settings(tmp_path))


def test_rescaling_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the state of a pipeline, received none"):
        rescale(tmp_path / "nowhere", 3)
    assert not (tmp_path / "nowhere").exists()


def test_a_shorter_history_is_cut_from_the_longer_one(tmp_path: Path) -> None:
    events = small_world(80, requests=300)
    shorter = replace(small_spec(), sequences=replace(small_spec().sequences, history=2))
    reference = built(tmp_path / "reference", events, spec=shorter)
    late = early_run(tmp_path / "shrunk", events)
    add(tmp_path / "shrunk", late)
    run(settings(tmp_path / "shrunk", spec=shorter))
    ours = digests(WindowStore(tmp_path / "shrunk" / "windows"))
    after = {s: d for s, d in digests(reference).items() if s >= 50_000}
    assert {s: ours[s] for s in after} == after and len(after) >= 6
