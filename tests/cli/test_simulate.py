"""`millstream simulate`: what the world is like is tested with the simulator."""

import json
from pathlib import Path

import polars as pl


def test_a_world_says_what_it_wrote(run, tmp_path: Path) -> None:
    answer = run("simulate", "--out", tmp_path / "w", "--users", "40", "--days", "1", "--json")
    assert answer.code == 0
    counts = json.loads(answer.out)["counts"]
    written = {
        stream: sum(len(pl.read_parquet(file)) for file in folder.glob("*.parquet"))
        for stream in counts
        for folder in [tmp_path / "w" / "events" / stream]
    }
    assert written == counts
    assert counts["exposure"] > 0 and counts["item"] > 0


def test_a_person_reads_times_and_counts(run, tmp_path: Path) -> None:
    answer = run("simulate", "--out", tmp_path / "w", "--users", "40", "--days", "1")
    first, *rows = answer.out.splitlines()
    assert first.startswith(f"{tmp_path}/w: events from 2025-01-05 23:00:00 UTC to ")
    assert [row.split()[0] for row in rows] == [
        "cart", "click", "conversion", "exposure", "item", "retraction"
    ]  # fmt: skip


def test_a_seed_takes_the_place_of_the_worlds_own(run, tmp_path: Path) -> None:
    words = ("simulate", "--users", "40", "--days", "1", "--json", "--seed")
    one, two, three = (run(*words, seed, "--out", tmp_path / str(at))
                       for at, seed in enumerate(["1", "2", "1"]))  # fmt: skip
    assert one.out == three.out != two.out


def test_a_second_world_must_ask_to_overwrite(run, tmp_path: Path) -> None:
    words = ("simulate", "--out", tmp_path / "w", "--users", "40", "--days")
    assert run(*words, "2").code == 0
    refused = run(*words, "1")
    assert refused.code == 1
    assert "expected an empty or new folder" in refused.err
    assert run(*words, "1", "--overwrite").code == 0
    assert not list((tmp_path / "w").glob("*/*/20250107T06*"))


def test_a_mistake_in_a_world_file_is_wrong_usage(run, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('name = "mine"\nsed = 3\n', encoding="utf-8")
    answer = run("simulate", "--world", file, "--out", tmp_path / "w")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"millstream: {file}: ")
    unknown = run("simulate", "--world", "demmo", "--out", tmp_path / "w")
    assert unknown.code == 2
    assert "(did you mean 'demo'?)" in unknown.err
