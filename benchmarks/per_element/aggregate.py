"""Step 4: the requests and actions of one user → one record a window, with H and R."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import apache_beam as beam

from benchmarks.per_element.attribute import ACTION, REQUEST
from benchmarks.per_element.events import Fields
from schemas.hashing import hash_one
from schemas.spec import Spec


class Aggregate(beam.DoFn):
    """Rules 11 and 12."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.carried = ("time_ms", "item", "action", "scenario", *spec.sequences.features)

    def process(self, element: tuple[str, Iterable[tuple[str, Fields]]]) -> Iterator[Any]:
        user_id, rows = element
        by_kind: dict[str, list[Fields]] = {REQUEST: [], ACTION: []}
        for kind, row in rows:
            by_kind[kind].append(row)
        requests = sorted(by_kind[REQUEST], key=lambda one: (one["time_ms"], one["id"]))
        actions = sorted(by_kind[ACTION], key=_place_of_action)
        for start_ms, shown in groupby(requests, key=self._window):
            user = {"user_id": user_id, "user": hash_one(user_id), "window_start_ms": start_ms}
            yield user | self._sequences(actions, start_ms) | {"requests": list(shown)}

    def _window(self, request: Fields) -> int:
        return self.spec.window.start(request["time_ms"])

    def _sequences(self, actions: list[Fields], start_ms: int) -> Fields:
        kept, end_ms = self.spec.sequences, start_ms + self.spec.window.length_ms
        begin = bisect_left(actions, start_ms, key=_time_of_action)
        end = bisect_left(actions, end_ms, key=_time_of_action)
        history = actions[max(0, begin - kept.history) : begin]
        recent = actions[begin : min(end, begin + kept.recent)]
        return {"history": self._sequence(history), "recent": self._sequence(recent)}

    def _sequence(self, actions: list[Fields]) -> Fields:
        return {name: [one[name] for one in actions] for name in self.carried}


def _place_of_action(action: Fields) -> tuple[int, str, str]:
    return action["time_ms"], action["stream"], action["event_id"]


def _time_of_action(action: Fields) -> int:
    return action["time_ms"]
