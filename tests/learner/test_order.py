"""Windows that are left out, come late, are gone or were written anew."""

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from learner.cursor import Cursor
from learner.order import Order
from learner.settings import LearnerSettings
from learner.trainer import Trainer
from schemas.errors import StoreError
from schemas.windows.manifest import Manifest
from schemas.windows.store import WindowStore
from tests.learner.runs import learn, newest, shop
from tests.learner.world import HOUR_MS, START_MS, write_window


def consumed(settings: LearnerSettings) -> list[int]:
    """Indices of the windows learned, in order."""
    starts = newest(settings).state["progress"]["consumed"]
    return [(start - START_MS) // HOUR_MS for start in starts]


def test_a_window_after_a_gap_waits_its_time_and_the_next_one_does_not(tmp_path: Path) -> None:
    now = 10.0
    order = Order(30.0, lambda: now)
    first, second, fourth = (write_window(tmp_path, index, users=2) for index in (0, 1, 3))

    def may(manifest: Manifest, after: Manifest | None) -> bool:
        return order.may_take(Cursor(after and after.window_start_ms), manifest)

    assert may(first, None)
    assert may(second, first)
    assert not may(fourth, second)
    now = 39.9
    assert not may(fourth, second)
    now = 40.0
    assert may(fourth, second)


def test_what_is_sealed_out_of_order_is_learned_in_order_if_gaps_wait(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=1)
    write_window(settings.windows, 2)

    def pipeline() -> None:
        time.sleep(0.5)
        write_window(settings.windows, 1)
        (settings.windows / "_FINAL").touch()

    thread = threading.Thread(target=pipeline)
    thread.start()
    learn(settings, mode="follow", until_final=True, gap_wait_s=120.0)
    thread.join()
    assert consumed(settings) == [0, 1, 2]


def test_a_gap_is_passed_over_and_what_comes_too_late_is_refused(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=1)
    write_window(settings.windows, 2)
    learn(settings)
    assert consumed(settings) == [0, 2]
    write_window(settings.windows, 1)
    with pytest.raises(StoreError, match=r"sealed in order of time.*--gap-wait"):
        learn(settings)


def half_learned(settings: LearnerSettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state that stopped after the second batch of its second window; that window's folder."""
    train, calls = Trainer.train, 0

    def stopping(trainer: Trainer, *batch: object) -> float | None:
        nonlocal calls
        calls += 1
        if calls == 7:  # four batches a window
            raise StoreError("the disk went away")
        return train(trainer, *batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train", stopping)
        with pytest.raises(StoreError, match="went away"):
            learn(settings)
    current = newest(settings).state["progress"]["current"]
    return WindowStore(settings.windows).folder(current["start_ms"])


@pytest.mark.parametrize("gone", [False, True])
def test_a_half_learned_window_that_is_gone_or_was_written_anew_stops_the_learner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    settings = shop(tmp_path, windows=3)
    folder = half_learned(settings, monkeypatch)
    before = newest(settings).state
    aside = folder.rename(tmp_path / "aside")
    if not gone:
        write_window(settings.windows, 1, users=31)
    received = "none, and next window" if gone else "[0-9a-f]{64}. A sealed window"
    with pytest.raises(StoreError, match=f"half learned when the learner stopped.*{received}"):
        learn(settings)
    assert newest(settings).state["progress"] == before["progress"]
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    learn(settings)
    assert consumed(settings) == [0, 1, 2]


def test_a_learned_window_that_was_written_anew_is_named_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = shop(tmp_path, windows=2)
    learn(settings)
    shutil.rmtree(WindowStore(settings.windows).folder(START_MS))
    write_window(settings.windows, 0, users=31)
    write_window(settings.windows, 2)
    assert learn(settings).windows == 1
    assert f"window {START_MS}: expected manifest digest" in caplog.text
    assert "train rewind --keep-windows" in caplog.text


def test_a_window_whose_file_is_gone_stops_the_learner(tmp_path: Path) -> None:
    settings = replace(shop(tmp_path, windows=1))
    manifest = WindowStore(settings.windows).windows()[0]
    path = WindowStore(settings.windows).folder(START_MS) / manifest.files[0].name
    path.unlink()
    with pytest.raises(StoreError, match="received no file. The window is damaged"):
        learn(settings)
