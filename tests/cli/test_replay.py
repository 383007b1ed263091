"""`millstream replay` on the shipped data; what the events are is tested with the adapters."""

import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest

ROOT = Path(__file__).parents[2]
RANKLENS = ROOT / "examples" / "ranklens"


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_replay_says_what_it_wrote(run, tmp_path: Path, file_format: str) -> None:
    out = tmp_path / "events"
    answer = run(
        "replay", "ranklens", "--source", RANKLENS, "--out", out, "--format", file_format, "--json"
    )
    assert answer.code == 0
    counts = json.loads(answer.out)["counts"]
    kind = "json" if file_format == "jsonl" else file_format
    written = {name: ds.dataset(out / name, format=kind).count_rows() for name in counts}
    assert written == counts
    assert all(counts.values())


def test_a_person_reads_times_and_counts(run, tmp_path: Path) -> None:
    answer = run("replay", "ranklens", "--source", RANKLENS, "--out", tmp_path / "events")
    first, *rows = answer.out.splitlines()
    assert first.startswith(f"{tmp_path}/events: events from 2021-11-14 ")
    assert {row.split()[0] for row in rows} == {"exposure", "click", "item"}


def test_a_second_replay_must_ask_to_overwrite(run, tmp_path: Path) -> None:
    words = ("replay", "ranklens", "--source", RANKLENS, "--out", tmp_path / "events")
    assert run(*words).code == 0
    assert run(*words).code == 1
    assert run(*words, "--overwrite").code == 0


def test_a_spec_of_ones_own_takes_the_place_of_the_shipped_one(run, tmp_path: Path) -> None:
    words = ("replay", "ranklens", "--source", RANKLENS, "--out", tmp_path / "events")
    answer = run(*words, "--spec", tmp_path / "none.toml")
    assert answer.code == 2
    assert f"{tmp_path}/none.toml: expected a readable TOML file" in answer.err


def test_a_source_that_is_not_there_fails(run, tmp_path: Path) -> None:
    answer = run("replay", "kuairand", "--source", tmp_path / "none", "--out", tmp_path / "e")
    assert (answer.code, answer.out) == (1, "")
    assert f"{tmp_path}/none: expected a folder" in answer.err


def test_an_unknown_data_set_is_wrong_usage(run, tmp_path: Path) -> None:
    answer = run("replay", "ranklense", "--source", tmp_path, "--out", tmp_path / "e")
    assert answer.code == 2
    assert "unknown 'ranklense' (did you mean 'ranklens'?)" in answer.err
