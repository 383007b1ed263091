import json
from pathlib import Path

import pytest

from millstream import shipped


def test_a_right_spec_is_summed_up(run, smallest: Path) -> None:
    answer = run("spec", "check", smallest)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == f"{smallest}: a valid stream spec."
    assert [line.split(maxsplit=1) for line in lines[1:-1]] == [
        ["name", "smallest"],
        ["windows", "of 1h, sealed 10m after their end"],
        ["streams", "1 click, 1 exposure"],
        ["domains", "feed (2 scenarios)"],
        ["tasks", "click (30m)"],
        ["features", "1 item"],
        ["sequences", "last 3 and 2 recent of click"],
    ]


def test_a_machine_reads_the_same_as_json(run, smallest: Path) -> None:
    answer = run("spec", "check", smallest, "--json")
    values = json.loads(answer.out)
    assert len(values.pop("digest")) == 64
    assert values == {
        "file": str(smallest),
        "name": "smallest",
        "window": {"length_ms": 3_600_000, "maturity_ms": 600_000},
        "streams": {"exposure": "exposure", "click": "click"},
        "domains": {"feed": ["detail", "home"]},
        "tasks": {"click": {"stream": "click", "horizon_ms": 1_800_000, "value": "binary"}},
        "features": {"color": {"owner": "item", "type": "id", "table": "color"}},
        "sequences": ["click"],
    }


@pytest.mark.parametrize("name", ["kuairand", "ranklens"])
def test_every_shipped_spec_is_right(run, name: str) -> None:
    answer = run("spec", "check", shipped.spec_file(name))
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        (
            'stream = "click"',
            'stream = "clik"',
            "tasks.click.stream: expected the name of a click or conversion stream,"
            " received 'clik' (did you mean 'click'?)",
        ),
        (
            '"1h"',
            '"an hour"',
            "window.length: expected a duration such as '90s', '6h' or '1d', received 'an hour'",
        ),
        ("history", "histroy", "sequences.history: expected a whole number of 0 or more, received"
         " nothing (is 'histroy' a slip?)"),
        ("maturity", "ripeness", "window.ripeness: expected no such key (known: length, maturity)"),
        ('["home", "detail"]', "7",
         "domains.feed.scenarios: expected a list of strings, received 7"),
    ],
)  # fmt: skip
def test_a_wrong_spec_exits_2_with_one_line(
    run, smallest: Path, right: str, wrong: str, complaint: str
) -> None:
    text = smallest.read_text(encoding="utf-8")
    smallest.write_text(text.replace(right, wrong), encoding="utf-8")
    answer = run("spec", "check", smallest)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"millstream: {smallest}: {complaint}\n"


def test_a_syntax_error_is_placed(run, smallest: Path) -> None:
    smallest.write_text("name = \n", encoding="utf-8")
    answer = run("spec", "check", smallest)
    assert answer.code == 2
    assert f"{smallest}: expected TOML, received a syntax error" in answer.err
    assert "line 1, column 8" in answer.err


def test_a_missing_file_exits_2(run, tmp_path: Path) -> None:
    answer = run("spec", "check", tmp_path / "none.toml")
    assert answer.code == 2
    expected = "expected a readable TOML file, received: No such file or directory"
    assert answer.err == f"millstream: {tmp_path}/none.toml: {expected}\n"


def test_a_users_mistake_shows_no_traceback(run_apart, tmp_path: Path) -> None:
    answer = run_apart("-m", "millstream", "spec", "check", tmp_path / "none.toml")
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert answer.err.count("\n") == 1
