"""What waits in a queue comes out when it falls due, as from a plain list."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.simulate.rows import Numbers, Queue, Rows


@dataclass(frozen=True)
class Parcels(Rows):
    """Numbered in order of sending."""

    number: Numbers


_DUE = st.integers(0, 12)
_ADD = st.lists(_DUE, max_size=5)
_STEPS = st.lists(st.tuples(st.lists(_ADD, max_size=3), _DUE), max_size=40)


@given(_STEPS)
def test_rows_come_out_by_due_time_and_in_order_of_sending(
    steps: list[tuple[list[list[int]], int]],
) -> None:
    queue: Queue[Parcels] = Queue()
    waiting: list[tuple[int, int]] = []
    sent = 0
    for added, before in steps:
        for due in added:
            numbers = range(sent, sent + len(due))
            sent += len(due)
            waiting += zip(due, numbers, strict=True)
            queue.add(Parcels(np.array(due, np.int64), np.array(numbers, np.int32)), np.array(due))
        expected = sorted(one for one in waiting if one[0] < before)
        waiting = [one for one in waiting if one[0] >= before]
        taken = queue.take_due(before)
        got = [] if taken is None else zip(taken.time.tolist(), taken.number.tolist(), strict=True)
        assert list(got) == expected
        assert taken is None or expected


def test_parts_of_many_times_stay_in_order() -> None:
    """More than a queue keeps apart: it merges them, and equal times stay as they were sent."""
    queue: Queue[Parcels] = Queue()
    for number in range(40):
        due = np.array([100 - number % 7])
        queue.add(Parcels(due, np.array([number], np.int32)), due)
        assert queue.take_due(50) is None
    taken = queue.take_due(200)
    assert taken is not None
    assert taken.number.tolist() == sorted(range(40), key=lambda number: -(number % 7))
