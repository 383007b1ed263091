"""Windows of 10 ms sealed 3 ms after their end: their cuts are …, -7, 3, 13, 23, …"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.spec import Window

WINDOW = Window(length_ms=10, maturity_ms=3)
SLOW = Window(length_ms=10, maturity_ms=25)
"""Sealed two and a half windows later: cuts are …, 5, 15, 25, 35, …"""

windows = st.builds(Window, st.integers(1, 10_000), st.integers(0, 100_000))
times = st.integers(-(10**12), 10**13)


@pytest.mark.parametrize(
    ("time", "start"), [(0, 0), (9, 0), (10, 10), (19, 10), (-1, -10), (-10, -10), (-11, -20)]
)
def test_a_window_holds_its_start_and_not_its_end(time: int, start: int) -> None:
    assert WINDOW.start(time) == start


@pytest.mark.parametrize(("start", "cut"), [(0, 13), (10, 23), (-10, 3), (-20, -7)])
def test_a_window_is_sealed_at_its_end_plus_maturity(start: int, cut: int) -> None:
    assert WINDOW.cut(start) == cut
    assert WINDOW.window_of_cut(cut) == start


@pytest.mark.parametrize(
    ("time", "cut"), [(12, 13), (13, 13), (14, 23), (3, 3), (4, 13), (-6, 3), (-7, -7), (-8, -7)]
)
def test_the_first_cut_at_or_after_a_time(time: int, cut: int) -> None:
    assert WINDOW.cut_at_or_after(time) == cut


@pytest.mark.parametrize(
    ("time", "cut"), [(12, 3), (13, 13), (22, 13), (23, 23), (2, -7), (-7, -7), (-8, -17)]
)
def test_the_last_cut_at_or_before_a_time(time: int, cut: int) -> None:
    assert WINDOW.cut_at_or_before(time) == cut


def test_maturity_may_be_longer_than_a_window() -> None:
    assert SLOW.cut(0) == 35
    assert SLOW.window_of_cut(35) == 0
    assert [SLOW.cut_at_or_after(time) for time in (30, 35, 36)] == [35, 35, 45]
    assert [SLOW.cut_at_or_before(time) for time in (34, 35, 44)] == [25, 35, 35]


@given(windows, times)
def test_cuts_around_a_time_are_on_the_grid_and_nearest(window: Window, time: int) -> None:
    before, after = window.cut_at_or_before(time), window.cut_at_or_after(time)
    for cut in (before, after):
        assert window.cut(window.window_of_cut(cut)) == cut
        assert window.start(window.window_of_cut(cut)) == window.window_of_cut(cut)
    assert before <= time <= after
    assert after - before in (0, window.length_ms)
    assert (after == before) == (time == after)
