"""What threads behind the epoch promise: two at once, results, failures, nothing left behind."""

from threading import Barrier, Event, Lock, Thread

import pytest

from pipelines.drivers.direct.behind import THREADS, WAITING, Behind


def test_two_pieces_of_work_go_on_at_once_and_all_are_done_before_the_context_is_left() -> None:
    done: list[int] = []
    at_once, most, lock, all_here = [0], [0], Lock(), Barrier(THREADS, timeout=30)

    def work(number: int) -> int:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        all_here.wait()
        with lock:
            at_once[0] -= 1
            done.append(number)
        return number * number

    with Behind() as behind:
        numbers = [behind.begin(lambda at=at: work(at)) for at in range(2 * WAITING)]
        assert behind.result(numbers[3]) == 9
    assert sorted(done) == list(range(2 * WAITING)) and most == [THREADS]


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
