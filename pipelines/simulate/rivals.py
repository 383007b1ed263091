"""Which causes are beyond doubt: how many other requests could be taken for an event's cause.

Rivals of an event are requests of the same user with the same item, at most `lookback` before
it, other than its cause and the request on which it happened:
- of the target domain, shown or not, if the event happened elsewhere;
- of its own domain, shown, if it names no request.
"""

from dataclasses import dataclass, field

import numpy as np

from pipelines.simulate.feedback import Feedback
from pipelines.simulate.requests import Requests
from pipelines.simulate.rival_kernels import count_rivals
from pipelines.simulate.rows import Bools, Ints, Numbers, Rows
from pipelines.simulate.world import World


@dataclass(frozen=True)
class _Seen(Rows):
    number: Ints
    user: Numbers
    domain: Numbers
    exposed: Numbers
    items: Numbers
    late: Bools


@dataclass
class Memory:
    """The requests of the last days, as far as rivals are concerned."""

    world: World
    _seen: list[_Seen] = field(default_factory=list)

    def remember(self, requests: Requests, late: Bools) -> None:
        """Take in the requests of a slice."""
        if len(requests):
            kept = ("time", "number", "user", "domain", "exposed", "items")
            columns = {name: getattr(requests, name) for name in kept}
            self._seen.append(_Seen(**columns, late=late))

    def forget(self, before_ms: int) -> None:
        """Drop slices that end before a time."""
        self._seen = [seen for seen in self._seen if seen.time.max() >= before_ms]

    def judge(self, feedback: Feedback) -> tuple[Numbers, Bools]:
        """Rivals of each event, and whether its cause reached the stream in time, [n] each.

        An event without a cause, or with one that is forgotten, has no such cause.
        """
        if not self._seen or not len(feedback):
            return np.zeros(len(feedback), np.int32), np.zeros(len(feedback), np.bool_)
        return self._rivals(feedback), self._in_time(feedback)

    def _rivals(self, feedback: Feedback) -> Numbers:
        world = self.world
        order = np.argsort(feedback.user * np.int64(world.items.count) + feedback.item)
        first = np.searchsorted(feedback.user[order], np.arange(world.users.count + 1))
        by_user = (order, feedback.item[order], first)
        kept = ("time", "domain", "named", "via", "cause")
        events = tuple(getattr(feedback, name) for name in kept)
        rivals = np.zeros(len(feedback), np.int32)
        for seen in self._seen:
            requests = (seen.number, seen.time, seen.user, seen.domain, seen.exposed, seen.items)
            count_rivals(requests, events, by_user, world.target_number, world.lookback_ms, rivals)
        return rivals

    def _in_time(self, feedback: Feedback) -> Bools:
        """Requests are numbered and remembered one after the other, none left out."""
        late = np.concatenate([seen.late for seen in self._seen])
        at = feedback.cause - self._seen[0].number[0]
        known: Bools = (at >= 0) & ~late[np.maximum(at, 0)]
        return known
