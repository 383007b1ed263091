"""What holds for every command: usage, exit codes, and what is imported when."""

import argparse
import subprocess
import sys

import pytest

from millstream import cli
from millstream.arguments import UsageError
from schemas.errors import SpecError, StoreError

HEAVY = ("torch", "apache_beam", "mlflow", "pyarrow", "polars", "numpy", "rich", "kafka")

BUSY = """
import sys, threading, torch
from millstream.cli import leave

begun = threading.Event()
ids = torch.sparse_coo_tensor(torch.zeros(1, 99, dtype=torch.long), torch.ones(99))

def work():
    while True:
        ids.coalesce()
        begun.set()

threading.Thread(target=work, daemon=True, name="mlflow").start()
begun.wait()
print("done")
leave(int(sys.argv[1]))
"""


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Replace `millstream doctor` by something that raises."""

    def fail_with(error: BaseException) -> None:
        def run(_: argparse.Namespace) -> int:
            raise error

        monkeypatch.setattr("millstream.commands.doctor.run", run)

    return fail_with


def test_help_names_every_command(run) -> None:
    answer = run("--help")
    assert answer.code == 0
    for command in ("spec", "windows", "replay", "doctor"):
        assert f"\n    {command} " in answer.out


def test_help_imports_nothing_heavy(run_apart) -> None:
    code = (
        "import sys; from millstream.cli import main; main(['--help']);"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    answer = run_apart("-c", code)
    assert answer.out.splitlines()[-1] == "heavy: []"


def test_an_unknown_command_exits_2_with_a_near_match(run) -> None:
    answer = run("widnows", "ls")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "millstream: argument COMMAND: unknown 'widnows' (did you mean 'windows'?)"
        " (see `millstream --help`)\n"
    )


def test_what_resembles_nothing_is_answered_with_what_there_is(run) -> None:
    answer = run("spec", "frobnicate", "x")
    assert answer.code == 2
    assert "argument ACTION: unknown 'frobnicate' (known: check)" in answer.err
    assert "(see `millstream spec --help`)" in answer.err


@pytest.mark.parametrize("words", [[], ["spec"], ["spec", "check"], ["doctor", "--jsn"]])
def test_an_incomplete_or_misspelt_line_exits_2(run, words: list[str]) -> None:
    answer = run(*words)
    assert (answer.code, answer.out) == (2, "")
    assert "--help`)" in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong words"), 2),
        (SpecError("wrong spec"), 2),
        (StoreError("no such store"), 1),
        (PermissionError(13, "Permission denied", "out"), 1),
    ],
)
def test_an_error_is_one_paragraph_and_its_exit_code(
    run, failing, error: Exception, code: int
) -> None:
    failing(error)
    answer = run("doctor")
    assert (answer.code, answer.out, answer.err) == (code, "", f"millstream: {error}\n")


def test_a_defect_of_ours_is_not_hidden(run, failing) -> None:
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        run("doctor")


def test_an_interrupt_exits_130_and_says_nothing(run, failing) -> None:
    failing(KeyboardInterrupt())
    answer = run("doctor")
    assert (answer.code, answer.out, answer.err) == (130, "", "")


def test_a_reader_that_goes_away_causes_no_complaint() -> None:
    command = [sys.executable, "-m", "millstream", "doctor", "--json"]
    process = subprocess.Popen(
        command, cwd=cli_root(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1


def cli_root() -> str:
    return str(cli.__file__).rsplit("/", 2)[0]


@pytest.mark.parametrize("code", [0, 1])
def test_a_thread_that_is_left_in_native_code_does_not_abort_who_is_done(
    run_apart, code: int
) -> None:
    answer = run_apart("-c", BUSY, str(code))
    assert (answer.code, answer.out) == (code, "done\n")
    assert "terminate" not in answer.err
