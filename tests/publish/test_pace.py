"""When published events go out: all streams together, late ones late, as fast as one says."""

import pyarrow as pa
import pytest

from pipelines.publish import pace
from pipelines.publish.pace import Pace, chunks


def table(*times_ms: int) -> pa.Table:
    return pa.table({"time_ms": pa.array(times_ms, pa.int64()), "at": range(len(times_ms))})


def cut(tables: dict[str, pa.Table], step_ms: int | None) -> list[tuple[int, dict[str, list[int]]]]:
    return [
        (moment, {name: part["time_ms"].to_pylist() for name, part in parts.items()})
        for moment, parts in chunks(tables, step_ms)
    ]


def test_all_streams_are_cut_at_the_same_moments() -> None:
    tables = {"a": table(5, 10, 11, 95), "b": table(20, 30, 31), "c": table()}
    assert cut(tables, 10) == [
        (10, {"a": [5, 10]}),
        (20, {"a": [11], "b": [20]}),
        (30, {"b": [30]}),
        (40, {"b": [31]}),
        (100, {"a": [95]}),
    ]
    assert cut({"c": table()}, 10) == []


def test_what_is_late_goes_out_after_what_came_before_it() -> None:
    assert cut({"a": table(50, 3, 60)}, 10) == [(50, {"a": [50, 3]}), (60, {"a": [60]})]


def test_without_a_pace_moments_follow_from_the_number_of_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "ROWS_AT_ONCE", 3)
    tables = {"a": table(1, 3, 5, 7), "b": table(2, 4, 6)}
    assert cut(tables, None) == [
        (3, {"a": [1, 3], "b": [2]}),
        (6, {"a": [5], "b": [4, 6]}),
        (7, {"a": [7]}),
    ]
    same = cut({"a": table(*[9] * 7)}, None)
    assert [row for _, part in same for row in part.get("a", [])] == [9] * 7


def test_event_time_runs_as_many_times_as_fast_as_the_clock() -> None:
    now_s, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        now_s[0] += seconds

    paced = Pace(60.0, lambda: now_s[0], sleep)
    assert paced.step_ms == 15_000
    for moment_ms in (1_000_000, 1_015_000, 1_060_000):
        paced.wait_for(moment_ms)
    now_s[0] += 5  # so long something took: the next moment, 1 s on, has passed
    paced.wait_for(1_120_000)
    assert slept == [0.25, 0.75]
    Pace(None, lambda: 0.0, sleep).wait_for(0)
    assert len(slept) == 2
