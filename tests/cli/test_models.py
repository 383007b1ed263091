"""`millstream models describe`, as a person would run it."""

import json
from pathlib import Path


def test_a_model_is_described_for_people_and_machines(run, smallest: Path) -> None:
    answer = run("models", "describe", "mtfm", "--spec", smallest, "--preset", "tiny")
    assert (answer.code, answer.err) == (0, "")
    assert "tokens a user: 3.0 H, 2.0 R, 8.0 T" in answer.out
    assert "3 tables of up to 1,026 rows, 8 wide: 36 bytes a row" in answer.out
    values = json.loads(
        run("models", "describe", "mtfm", "--spec", smallest, "--preset", "tiny", "--json").out
    )
    assert values["tokens"] == {"H": 48, "R": 32, "T": 128}
    assert set(values["parts"]) == {"tokenizer", "layers", "heads"}


def test_a_slip_in_the_name_or_preset_is_named(run, smallest: Path) -> None:
    wrong = run("models", "describe", "mtmf", "--spec", smallest)
    assert wrong.code == 1
    assert "did you mean 'mtfm'" in wrong.err
    wrong = run("models", "describe", "mtfm", "--spec", smallest, "--preset", "tny")
    assert "did you mean 'tiny'" in wrong.err


def test_windows_without_users_are_named(run, smallest: Path, tmp_path: Path) -> None:
    answer = run("models", "describe", "mtfm", "--spec", smallest, "--windows", tmp_path)
    assert answer.code == 1
    assert "expected a sealed window with users" in answer.err
