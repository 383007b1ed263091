"""`millstream windows show --explain`: what a person and a machine are told of one sample."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.drivers.direct import DirectSettings
from pipelines.drivers.direct import run as run_pipeline
from schemas.windows import WindowStore
from tests.pipeline.small_world import SPEC_TOML, small_spec, write_json_lines

WINDOW = "19700101T000000Z"
CANDIDATES = [
    {"item_id": item, "position": at, "exposed": True, "brand": None, "tags": None}
    | {"likeness": None}
    for at, item in enumerate(("hat", "coat"))
]


def request(request_id: str, user: str, time_ms: int, scenario: str) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "user_id": user,
        "time_ms": time_ms,
        "scenario": scenario,
        "query": "red hat" if scenario == "results" else None,
        "age": None,
        "country": None,
        "candidates": CANDIDATES,
    }


def feedback(event_id: str, time_ms: int, **fields: Any) -> dict[str, Any]:
    event = {"event_id": event_id, "user_id": "ada", "time_ms": time_ms, "item_id": "hat"}
    return {**event, "scenario": "home", "request_id": None, "value": 2.0, **fields}


EVENTS = {
    "exposure": [
        request("r1", "ada", 1_000, "home"),
        request("s1", "ada", 500, "results"),
        request("r1", "bob", 2_000, "home"),
    ],
    "click": [feedback("c1", 9_500), feedback("c2", 3_000), feedback("c3", 40_000)],
    "buy": [feedback("b1", 12_000)],
    "refund": [{"stream": "buy", "event_id": "b1", "user_id": "ada", "time_ms": 16_000}],
    "item": [{"item_id": i, "time_ms": 0, "title": f"a red {i}"} for i in ("hat", "coat")],
}
"""The click of 3,000 is the first on r1; s1's horizon of 8 s ended before that of 9,500."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    (folder / "spec.toml").write_text(SPEC_TOML, encoding="utf-8")
    write_json_lines(EVENTS, folder / "events")
    paths = folder / "events", folder / "windows", folder / "windows.state"
    run_pipeline(DirectSettings(small_spec(), *paths, shards=2, final=True))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def words(folder: Path, *asked: str, source: bool = True) -> list[str]:
    told = ["--spec", str(folder / "spec.toml")]
    told += ["--source", str(folder / "events")] if source else []
    return ["windows", "show", str(folder / "windows"), WINDOW, "--explain", *asked, *told]


def test_a_person_reads_why_a_label_is_what_it_is(run, made: Path) -> None:
    answer = run(*words(made, "r1", "hat", "--user", "ada"))
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[:4] == [
        "request 'r1' of user 'ada', item 'hat', in window 19700101T000000Z",
        "  1970-01-01 00:00:01.000, scenario home of domain feed",
        "  exposed at position 0",
        "  cut 1970-01-01 00:00:15.000; input complete, all is sealed",
    ]
    at = lines.index(
        "click: 1 by in_domain, event 'c2' of 1970-01-01 00:00:03.000; "
        "closed since 1970-01-01 00:00:09.000"
    )
    assert lines[at + 1] == (
        "  window 19700101T000000Z: 1 by in_domain, event 'c2' of 1970-01-01 00:00:03.000, "
        "closed at its cut"
    )
    assert lines[at + 2] == "  click events considered: 3"
    assert [line.split()[0] for line in lines[at + 3 : at + 6]] == ["shown", "lost", "lost"]
    assert "past the horizon of 8 s (rule 1)" in lines[at + 4]
    assert lines[-1] == "The rules over these events give what is stored."


def test_a_machine_reads_the_same(run, made: Path) -> None:
    told = json.loads(run(*words(made, "r1", "hat", "--user", "ada"), "--json").out)
    assert (told["agrees"], told["compared"], told["last_cut_ms"]) == (True, True, None)
    assert told["sample"]["window"] == WINDOW and told["sample"]["user_id"] == "ada"
    [buy] = [task for task in told["tasks"] if task["task"] == "buy"]
    assert [(m["cut_ms"], m["label"]["value"]) for m in buy["stored"]] == [
        (15_000, 1.0),
        (25_000, 0.0),
    ]
    assert [(m["cut_ms"], m["label"]["value"]) for m in buy["ruled"]] == [
        (15_000, 1.0),
        (25_000, 0.0),
    ]
    [bought] = buy["considered"]
    assert (bought["outcome"], bought["reason"], bought["event_id"]) == ("lost", "retracted", "b1")


def test_the_only_request_of_an_id_needs_no_user(run, made: Path) -> None:
    told = run(*words(made, "s1", "hat"), "--json")
    assert (told.code, json.loads(told.out)["sample"]["user_id"]) == (0, "ada")


def test_without_a_source_it_says_what_one_would_add(run, made: Path) -> None:
    answer = run(*words(made, "s1", "hat", source=False))
    assert answer.code == 0
    assert "events considered" not in answer.out
    assert answer.out.splitlines()[-1].startswith(
        "Explained from the window store alone. With --source"
    )
    assert json.loads(run(*words(made, "s1", "hat", source=False), "--json").out)["compared"] is (
        False
    )


def test_an_event_that_is_gone_makes_it_disagree_and_exit_1(run, folder: Path) -> None:
    file = folder / "events" / "click" / "000.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line.replace('"ada"', '"eve"') for line in lines))
    answer = run(*words(folder, "r1", "hat", "--user", "ada"))
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == (
        "DISAGREES: click: window 19700101T000000Z shows 1 by in_domain, event 'c2' of 1970-01-01 "
        "00:00:03.000, closed; the rules over these events give 0, no event, closed."
    )
    told = run(*words(folder, "r1", "hat", "--user", "ada"), "--json")
    assert (told.code, json.loads(told.out)["agrees"]) == (1, False)


def test_an_event_that_the_pipeline_has_not_read_does_not_count(run, folder: Path) -> None:
    with (folder / "events" / "click" / "000.jsonl").open("a") as file:
        file.write(json.dumps(feedback("c0", 2_000)) + "\n")
    answer = run(*words(folder, "r1", "hat", "--user", "ada"))
    assert answer.code == 0
    assert "'c0' (value 2): the pipeline has not read it yet" in answer.out


def test_without_the_pipelines_state_it_says_what_is_not_known(run, folder: Path) -> None:
    shutil.rmtree(folder / "windows.state")
    answer = run(*words(folder, "r1", "hat", "--user", "ada"))
    assert answer.code == 0
    assert f"Note: there is no state of a pipeline at {folder}/windows.state: every" in answer.out


def test_a_state_that_is_older_than_the_readings_is_told(run, folder: Path) -> None:
    (folder / "windows.state" / "journal" / "readings.jsonl").unlink()
    answer = run(*words(folder, "r1", "hat", "--user", "ada"))
    assert answer.code == 0
    assert "does not tell after which cut 7 of the 7 events of the user were read" in answer.out


def test_the_source_of_other_windows_is_noted(run, folder: Path) -> None:
    write_json_lines(EVENTS, folder / "other", files=2)
    for file in (folder / "other").glob("*/*.jsonl"):
        file.rename(file.with_stem(f"other-{file.stem}"))
    answer = run(*words(folder, "s1", "hat", source=False), "--source", folder / "other")
    assert answer.code == 1
    assert "has read none of the user's events in this source" in answer.out
    assert "in the source does not count: the pipeline has not read it." in answer.out


def test_the_state_of_another_pipeline_is_refused(run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "journal").mkdir(parents=True)
    state = ("--state", tmp_path / "other")
    answer = run(*words(folder, "r1", "hat", "--user", "ada"), *state)
    assert (answer.code, answer.out) == (1, "")
    assert "expected the state of the pipeline that sealed window 19700101T000000Z" in answer.err
    assert "received one that has sealed nothing" in answer.err


def test_another_spec_is_noted(run, folder: Path) -> None:
    text = (folder / "spec.toml").read_text()
    (folder / "spec.toml").write_text(text.replace('horizon = "8s"', 'horizon = "2s"'))
    answer = run(*words(folder, "s1", "hat"))
    assert answer.code == 1
    assert "Note: the window was sealed under another spec than this one" in answer.out
    assert "DISAGREES: click: " in answer.out


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (("r1", "hat"), "received 2, of the users 'ada', 'bob'. Name one with --user."),
        (("r2", "hat"), "expected a request 'r2' in this window, received none among "),
        (("r11", "hat", "--user", "bob"), "received none among 1 (did you mean 'r1'?)"),
        (("r1", "cot", "--user", "ada"), "received none such (did you mean 'coat'?)"),
        (("r1", "x", "--user", "ada"), "received none such (hat, coat)"),
        (("r1", "hat", "--user", "cy"), "expected a record of user 'cy', received none"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_near(
    run, made: Path, asked: tuple[str, ...], complaint: str
) -> None:
    answer = run(*words(made, *asked))
    assert (answer.code, answer.out) == (1, "")
    assert complaint in answer.err
    assert answer.err.count("\n") == 1


def test_a_window_that_is_not_there_is_told(run, made: Path) -> None:
    asked = words(made, "r1", "hat")
    asked[3] = "19700101T000050Z"
    answer = run(*asked)
    assert (answer.code, answer.out) == (1, "")
    assert "expected a sealed window, received none" in answer.err


def test_a_source_that_is_not_there_is_told(run, made: Path) -> None:
    answer = run(*words(made, "s1", "hat", source=False), "--source", made / "none")
    assert (answer.code, answer.out) == (1, "")
    assert f"{made}/none: expected a folder with a folder for each stream" in answer.err


def test_without_a_spec_it_is_wrong_usage(run, made: Path) -> None:
    answer = run("windows", "show", made / "windows", WINDOW, "--explain", "r1", "hat")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "millstream: --explain: expected --spec FILE, the stream spec of the windows\n"
    )


def test_what_only_an_explanation_reads_is_wrong_usage_without_one(run, made: Path) -> None:
    answer = run("windows", "show", made / "windows", WINDOW, "--source", made / "events")
    assert (answer.code, answer.out) == (2, "")
    assert "expected beside --explain REQUEST ITEM" in answer.err


def test_the_revisions_of_a_user_are_those_of_all(made: Path) -> None:
    store = WindowStore(made / "windows")
    for manifest in store.windows():
        start_ms = manifest.window_start_ms
        all_of = store.read_revisions(start_ms).to_pylist()
        for user in {row["user"] for row in all_of}:
            mine = store.read_user_revisions(start_ms, user).to_pylist()
            assert mine == [row for row in all_of if row["user"] == user]
        assert store.read_user_revisions(start_ms, 7).num_rows == 0
    assert sum(manifest.counts.revisions for manifest in store.windows()) > 0
