"""`millstream windows` on a store of two windows that hold one and two users."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.hashing import hash_one
from schemas.labels import ORIGIN_CODES, TIER_CODES
from schemas.record import user_window_schema
from schemas.spec import Spec, parse
from schemas.windows import BuildInfo, WindowStore, seal, window_name, write_shard

HOUR_MS = 3_600_000
FIRST_MS = 1_651_370_400_000
FIRST, SECOND = "20220501T020000Z", "20220501T030000Z"


def sequence() -> dict[str, list[int]]:
    return {"time_ms": [], "item": [], "action": [], "scenario": []}


def user_window(user: str, start_ms: int) -> dict[str, Any]:
    """One user with one request of two candidates; the second one was clicked."""
    click = {
        "value": [0.0, 1.0],
        "tier": [None, TIER_CODES["direct"]],
        "event_id": [None, "c1"],
        "time_ms": [None, start_ms + 1_000],
        "open": [True, True],
    }
    candidates = {
        "item": [hash_one("red tee"), hash_one("blue tee")],
        "item_id": ["red tee", "blue tee"],
        "origin": [ORIGIN_CODES["exposed"]] * 2,
        "position": [0, 1],
        "probability": [1.0, 1.0],
        "color": [hash_one("red"), None],
        "labels": {"click": click},
    }
    request = {
        "id": f"{user}-1",
        "time_ms": start_ms,
        "scenario": "home",
        "domain": "feed",
        "origin_domain": "feed",
        "query": None,
        "candidates": candidates,
    }
    return {
        "user_id": user,
        "user": hash_one(user),
        "window_start_ms": start_ms,
        "history": sequence(),
        "recent": sequence(),
        "requests": [request],
    }


def seal_window(root: Path, spec: Spec, start_ms: int, users: list[str]) -> None:
    rows = [user_window(user, start_ms) for user in users]
    table = pa.Table.from_pylist(rows, schema=user_window_schema(spec))
    folder = root / window_name(start_ms)
    folder.mkdir(parents=True)
    entry = write_shard(folder, 0, table, spec)
    build = BuildInfo("test", None, 0, 0)
    seal(root, start_ms, spec.window.cut(start_ms), spec, [entry], build, shards=1)


@pytest.fixture
def store(tmp_path: Path, smallest: Path) -> Path:
    spec = parse(smallest.read_text(encoding="utf-8"))
    root = tmp_path / "windows"
    seal_window(root, spec, FIRST_MS, ["ada"])
    seal_window(root, spec, FIRST_MS + HOUR_MS, ["ada", "bob"])
    return root


def test_ls_is_one_row_a_window(run, store: Path) -> None:
    rows = json.loads(run("windows", "ls", store, "--json").out)
    counts = [{key: row[key] for key in ("window", "users", "requests", "samples")} for row in rows]
    assert counts == [
        {"window": FIRST, "users": 1, "requests": 1, "samples": 2},
        {"window": SECOND, "users": 2, "requests": 2, "samples": 4},
    ]
    lines = run("windows", "ls", store).out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["window", "users", "requests", "samples"],
        [FIRST, "1", "1", "2"],
        [SECOND, "2", "2", "4"],
    ]


def test_a_folder_without_a_manifest_is_not_listed(run, store: Path) -> None:
    (store / "20220501T040000Z").mkdir()
    assert len(json.loads(run("windows", "ls", store, "--json").out)) == 2
    assert run("windows", "verify", store).code == 0


def test_show_names_the_first_users(run, store: Path) -> None:
    shown = json.loads(run("windows", "show", store, SECOND, "--json").out)
    assert [row["user_id"] for row in shown["users"]] == ["ada", "bob"]
    one = json.loads(run("windows", "show", store, SECOND, "--limit", "1", "--json").out)
    assert [row["user_id"] for row in one["users"]] == ["ada"]


def test_show_gives_one_users_record_with_names_for_codes(run, store: Path) -> None:
    shown = json.loads(run("windows", "show", store, SECOND, "--user", "bob", "--json").out)
    candidates = shown["requests"][0]["candidates"]
    assert shown["user_id"] == "bob"
    assert candidates["origin"] == ["exposed", "exposed"]
    assert candidates["labels"]["click"]["tier"] == [None, "direct"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((FIRST, "--user", "bob"), "expected a record of user 'bob', received none"),
        (("20220501T040000Z",), "expected a sealed window, received none"),
    ],
)
def test_show_says_what_is_not_there(run, store: Path, words: tuple[str, ...], complaint) -> None:
    answer = run("windows", "show", store, *words)
    assert (answer.code, answer.out) == (1, "")
    assert complaint in answer.err


def test_a_name_that_is_no_windows_is_wrong_usage(run, store: Path) -> None:
    answer = run("windows", "show", store, "yesterday")
    assert answer.code == 2
    assert "expected a window's name such as 20220501T020000Z, received 'yesterday'" in answer.err


def test_verify_reads_all_windows_or_one(run, store: Path) -> None:
    answer = run("windows", "verify", store)
    assert (answer.code, answer.out) == (0, "2 windows read, 0 problems\n")
    one = run("windows", "verify", store, FIRST, "--json")
    assert (one.code, json.loads(one.out)) == (0, {"windows": 1, "problems": []})


def test_verify_names_the_damaged_file_and_exits_1(run, store: Path) -> None:
    shard = store / FIRST / "shard-00000.avro"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    answer = run("windows", "verify", store)
    assert answer.code == 1
    problem, verdict = answer.out.splitlines()
    assert problem.startswith(f"{shard}: expected SHA-256 ")
    assert verdict == "2 windows read, 1 problems"


def test_one_damaged_manifest_hides_no_other_window(run, store: Path) -> None:
    (store / FIRST / "_MANIFEST.json").write_text("{", encoding="utf-8")
    (store / SECOND / "shard-00000.avro").unlink()
    problems = json.loads(run("windows", "verify", store, "--json").out)["problems"]
    assert len(problems) == 2
    assert FIRST in problems[0]
    assert SECOND in problems[1]


@pytest.mark.parametrize("action", ["ls", "verify"])
def test_a_store_that_is_not_there_fails(run, tmp_path: Path, action: str) -> None:
    answer = run("windows", action, tmp_path / "none")
    assert (answer.code, answer.out) == (1, "")
    assert f"{tmp_path}/none: expected a folder of windows" in answer.err


def test_the_store_reads_back_what_the_tests_wrote(store: Path) -> None:
    assert [m.counts.users for m in WindowStore(store).windows()] == [1, 2]
