import logging

import pytest

from millstream import console


class Clock:
    """A clock that goes on when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_progress_is_a_line_every_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    with (
        caplog.at_level(logging.INFO, "millstream"),
        console.progress("reading", 3_000, "events", clock) as advance,
    ):
        for now in (4.0, 10.0, 12.0):
            clock.now = now
            advance(1_000)
    assert caplog.messages == [
        "reading: 2,000 of 3,000 events",
        "reading: done, 3,000 events in 12.0 s",
    ]


def test_work_that_fails_is_not_called_done(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "millstream"),
        pytest.raises(ValueError, match="broken"),
        console.progress("reading", clock=Clock()),
    ):
        raise ValueError("broken")
    assert caplog.messages == []


def test_on_a_terminal_progress_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with console.progress("reading", 7, "windows") as advance:
        advance(7)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "reading" in shown.err
    assert "7/7" in shown.err
