"""`millstream pipeline`: what a run says of itself; what it makes is tested with the drivers."""

import json
from collections import Counter
from pathlib import Path

import pytest

from schemas.labels import QUERY_PATHS, TIERS
from schemas.windows import WindowStore
from tests.pipeline.small_world import SPEC_TOML, small_spec, small_world, write_json_lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small world with two events that cannot be used."""
    (tmp_path / "spec.toml").write_text(SPEC_TOML, encoding="utf-8")
    write_json_lines(small_world(21, requests=150), tmp_path / "events")
    bad = tmp_path / "events" / "click" / "bad.jsonl"
    bad.write_text('{"event_id": "x"}\nnot json\n', encoding="utf-8")
    return tmp_path


def words(folder: Path, *more: str) -> list[str]:
    paths = {"spec": "spec.toml", "source": "events", "windows": "windows"}
    named = [word for name, path in paths.items() for word in (f"--{name}", str(folder / path))]
    return ["pipeline", *named, "--shards", "2", "--final", *more]


def counted(store: WindowStore) -> Counter[str]:
    """Labels by task and tier and requests by query path, out of the records one by one."""
    found: Counter[str] = Counter()
    starts = [manifest.window_start_ms for manifest in store.windows()]
    batches = (batch for start in starts for batch in store.read_users(start, small_spec()))
    requests = [r for batch in batches for user in batch.to_pylist() for r in user["requests"]]
    for request in requests:
        if request["query_path"] is not None:
            found[f"query/{QUERY_PATHS[request['query_path']]}"] += 1
        for task, labels in request["candidates"]["labels"].items():
            for value, tier in zip(labels["value"], labels["tier"], strict=True):
                uncredited = "missing" if value is None else "none"
                found[f"label/{task}/{uncredited if tier is None else TIERS[tier]}"] += 1
    return found


def test_the_summary_counts_tiers_query_paths_and_reasons(run, folder: Path) -> None:
    summary = json.loads(run(*words(folder, "--json")).out)
    totals = summary["totals"]
    shown = {name: n for name, n in totals.items() if name.startswith(("label/", "query/"))}
    assert shown == counted(WindowStore(folder / "windows"))
    assert {name.split("/")[0] for name in shown} == {"label", "query"}
    assert totals["searchify/made"] == sum(n for name, n in shown.items() if "query/" in name)
    assert (totals["dead/click/bad_json"], totals["dead/click/missing_field"]) == (1, 1)


def test_a_person_reads_the_counts_under_headings(run, folder: Path) -> None:
    lines = run(*words(folder)).out.splitlines()
    assert lines[0].endswith("epochs, input complete")
    headings = [line for line in lines[1:] if not line.startswith(" ")]
    assert headings == [
        "windows",
        "events read",
        "dead letters by stream and reason",
        "feedback that changed no label, by task",
        "labels as their windows showed them, by task and tier",
        "foreign clicks as requests of the target, or why not",
        "their queries by path",
    ]
    below = lines[lines.index("dead letters by stream and reason") + 1]
    assert below.split() == ["dead/click/bad_json", "1"]
    totals = json.loads(run(*words(folder, "--json")).out)["totals"]
    names = [line.split()[0] for line in lines[1:] if line.startswith(" ")]
    assert sorted(names) == sorted(totals)


def test_a_rescaled_state_is_used_without_naming_its_shards(run, folder: Path) -> None:
    once = [word for word in words(folder, "--json") if word != "--final"]
    run(*once)
    state = folder / "windows.state"
    said = run("pipeline", "rescale", "--state", state, "--shards", 5)
    assert (said.code, said.out) == (0, f"{state}: 5 shards, 2 before\n")
    other = run(*once)
    assert other.code == 1 and "expected shards 2, received 5. Leave --shards out" in other.err
    shards = once.index("--shards")
    assert run(*once[:shards], *once[shards + 2 :], "--final").code == 0
    assert json.loads((state / "identity.json").read_text())["shards"] == 5


def test_a_run_says_what_it_lacks(run) -> None:
    lacking = run("pipeline", "--spec", "spec.toml")
    assert lacking.code == 2 and "expected --source, --windows" in lacking.err
    wrong = run("pipeline", "rescale", "--state", "s", "--shards", "0")
    assert wrong.code == 2 and "expected a whole number of 1 or more, received '0'" in wrong.err
