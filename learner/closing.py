"""When labels close (rule 6 of time and labels): from then on a window's metrics are settled."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.spec import Spec


@dataclass(frozen=True)
class Closing:
    """At which cuts the labels of windows are closed, task by task.

    Args:
        spec: whose windows and tasks these are.
    """

    spec: Spec

    def closed_ms(self, task: str, start_ms: int) -> int:
        """From which cut on no label of the task is open in the window that begins there.

        A label is open at C if `t_s + horizon + retraction horizon > C`; the last `t_s` of a
        window is the millisecond before its end.
        """
        one = self.spec.tasks[task]
        last_ms = start_ms + self.spec.window.length_ms - 1
        return last_ms + one.horizon_ms + one.retraction_horizon_ms

    def all_closed_ms(self, start_ms: int) -> int:
        """From which cut on no label of that window is open."""
        return max(self.closed_ms(task, start_ms) for task in self.spec.tasks)

    @property
    def open_tasks(self) -> tuple[str, ...]:
        """The tasks that can have open labels at their window's own cut."""
        own_cut_ms = self.spec.window.cut(0)
        return tuple(task for task in self.spec.tasks if self.closed_ms(task, 0) > own_cut_ms)

    def due(
        self, consumed: Sequence[int], before_ms: int, cut_ms: int
    ) -> list[tuple[int, tuple[str, ...]]]:
        """What closes after one cut and by the next: places in `consumed`, in order, and tasks.

        `consumed` are starts of windows, in order. Of tasks that are never open nothing is due.
        """
        found = defaultdict(list)
        for task in self.open_tasks:
            delay_ms = self.closed_ms(task, 0)
            first = bisect_right(consumed, before_ms - delay_ms)
            for place in range(first, bisect_right(consumed, cut_ms - delay_ms)):
                found[place].append(task)
        return [(place, tuple(found[place])) for place in sorted(found)]
