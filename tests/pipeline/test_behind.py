"""What a thread behind the epoch promises: order, results, failures, nothing left behind."""

import time
from threading import Event, Thread

import pytest

from pipelines.drivers.direct.behind import WAITING, Behind


def test_work_is_done_in_order_and_all_of_it_before_the_context_is_left() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.001 * (WAITING - number % WAITING))
        done.append(number)
        return number * number

    with Behind() as behind:
        numbers = [behind.begin(lambda at=at: work(at)) for at in range(2 * WAITING)]
        assert behind.result(numbers[3]) == 9
    assert done == list(range(2 * WAITING))


def test_a_failure_is_raised_where_its_result_is_asked_for_and_when_the_context_is_left() -> None:
    with pytest.raises(OSError, match="disk full"), Behind() as behind:
        number = behind.begin(_fail)
        with pytest.raises(OSError, match="disk full"):
            behind.result(number)


def test_what_was_raised_before_stands_and_what_was_begun_is_finished() -> None:
    done: list[str] = []
    with pytest.raises(ValueError, match="first"), Behind() as behind:
        behind.begin(_fail)
        behind.begin(lambda: done.append("later"))
        raise ValueError("first")
    assert done == ["later"]


def test_no_more_work_is_taken_than_may_wait() -> None:
    go_on = Event()
    taken: list[int] = []
    with Behind() as behind:

        def begin_all() -> None:
            for number in range(WAITING + 1):
                behind.begin(go_on.wait)
                taken.append(number)

        giver = Thread(target=begin_all)
        giver.start()
        giver.join(0.2)
        assert taken == list(range(WAITING))
        go_on.set()
        giver.join()
    assert len(taken) == WAITING + 1


def _fail() -> None:
    raise OSError("disk full")
