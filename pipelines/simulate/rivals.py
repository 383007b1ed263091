"""Which causes are beyond doubt: how many other requests could be taken for an event's cause.

Rivals of an event are requests of the same user with the same item, at most `lookback` before
it, other than its cause and the request on which it happened:
- of the target domain, shown or not, if the event happened elsewhere;
- of its own domain, shown, if it names no request.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.simulate import kernels
from pipelines.simulate.feedback import Feedback
from pipelines.simulate.requests import Requests
from pipelines.simulate.rows import NONE, Bools, Ints, Numbers, Rows
from pipelines.simulate.world import World

_Bits = npt.NDArray[np.uint8]


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
        hits, events = self._hits(feedback), _events(feedback, self.world.items.count)
        pairs = events.join(hits, on="key", how="inner").filter(_is_rival(self.world))
        counts = pairs.group_by("row").len()
        rivals = np.zeros(len(feedback), np.int32)
        rivals[counts["row"].to_numpy()] = counts["len"].to_numpy()
        return rivals, self._in_time(feedback)

    def _hits(self, feedback: Feedback) -> pl.DataFrame:
        """Candidates, by request, of the users and items that events are about."""
        count = self.world.items.count
        keys = np.sort(_keys(feedback, count))
        bits = kernels.bits_of(keys, 1 << (2 * len(keys)).bit_length())
        return pl.concat(_search(seen, keys, bits, count) for seen in self._seen)

    def _in_time(self, feedback: Feedback) -> Bools:
        number = np.concatenate([seen.number for seen in self._seen])
        late = np.concatenate([seen.late for seen in self._seen])
        at = np.minimum(np.searchsorted(number, feedback.cause), len(number) - 1)
        known: Bools = (number[at] == feedback.cause) & ~late[at]
        return known


def _search(seen: _Seen, keys: Ints, bits: _Bits, items: int) -> pl.DataFrame:
    row, slot = kernels.search_lists(seen.items, seen.user, keys, bits, items)
    return pl.DataFrame(
        {
            "key": seen.user[row].astype(np.int64) * items + seen.items[row, slot],
            "request": seen.number[row],
            "request_time": seen.time[row],
            "request_domain": seen.domain[row],
            "shown": slot < seen.exposed[row],
        }
    )


def _events(feedback: Feedback, items: int) -> pl.DataFrame:
    names = ("time", "domain", "named", "via", "cause")
    columns = {name: getattr(feedback, name) for name in names}
    return pl.DataFrame(columns | {"key": _keys(feedback, items)}).with_row_index("row")


def _keys(feedback: Feedback, items: int) -> Ints:
    return feedback.user.astype(np.int64) * items + feedback.item


def _is_rival(world: World) -> pl.Expr:
    request, target = pl.col("request"), world.target_number
    age_ms = pl.col("time") - pl.col("request_time")
    foreign = (pl.col("request_domain") == target) & (pl.col("domain") != target)
    own = (pl.col("request_domain") == pl.col("domain")) & pl.col("shown")
    other = (request != pl.col("cause")) & (request != pl.col("via"))
    near = age_ms.is_between(0, world.lookback_ms)
    return other & near & (foreign | (own & (pl.col("named") == NONE)))
