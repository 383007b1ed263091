"""What really happened, as tables that no pipeline may read: `docs/simulator.md` names columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.simulate.catalogue import Catalogue
from pipelines.simulate.delivery import Retractions
from pipelines.simulate.events import (
    Texts,
    click_ids,
    event_ids,
    listed,
    look_up,
    offsets,
    query_texts,
    repeating,
    request_ids,
)
from pipelines.simulate.feedback import (
    JOURNEYS,
    ORIGINS,
    Feedback,
    examination,
)
from pipelines.simulate.requests import Requests
from pipelines.simulate.rows import NONE, Bools, Ints, Numbers, Rows
from pipelines.simulate.world import FEEDBACK, World

COPIES = ("none", "exact", "moved")


@dataclass(frozen=True)
class Told(Rows):
    """How an event of feedback reached its stream."""

    late: Bools
    copies: Numbers
    retracted: Ints
    """When it is taken back, or none."""


@dataclass(frozen=True)
class Truth:
    """Writes down what a world knows about itself."""

    world: World
    catalogue: Catalogue
    texts: Texts

    def items(self) -> pa.Table:
        """One row an item; titles and prices are in the events."""
        stock, per_category = self.catalogue, self.world.items.intents_per_category
        return pa.table(
            {
                "number": np.arange(len(stock.intent)),
                "item_id": self.texts.items,
                "category": pa.array(stock.intent // per_category),
                "intent": pa.array(stock.intent),
                "seller": look_up(self.texts.sellers, stock.seller),
                "quality": pa.array(stock.quality),
            }
        )

    def queries(self) -> pa.Table:
        """One row a query text, those that are seen once left out."""
        intent = np.repeat(np.arange(self.world.intents), self.world.texts.wordings)
        category = intent // self.world.items.intents_per_category
        table = pa.table({"query": self.texts.queries, "intent": intent, "category": category})
        return table.group_by(["query", "intent", "category"], use_threads=False).aggregate([])

    def examination(self) -> pa.Table:
        """One row a domain and position: the probability that a shown candidate is examined."""
        chances = examination(self.world)
        domain, position = np.indices(chances.shape)
        return pa.table(
            {
                "domain": self._domains(domain.ravel()),
                "position": position.ravel(),
                "examination": chances.ravel(),
            }
        )

    def requests(self, requests: Requests, late: Bools, copies: Numbers) -> pa.Table:
        """One row a request; lists are in order of position."""
        used = listed(requests)
        return pa.table(
            {
                "request_id": request_ids(requests.number),
                "user_id": look_up(self.texts.users, requests.user),
                "time_ms": requests.time,
                "domain": self._domains(requests.domain),
                "scenario": repeating(self.texts.scenarios, requests.scenario),
                "query": query_texts(self.texts, requests),
                "intent": _numbers(requests.intent),
                "category": _numbers(requests.category),
                "exposed": requests.exposed,
                "planted": _numbers(requests.planted),
                "late": late,
                "copies": repeating(pa.array(COPIES), copies),
                "item": _lists(requests, pa.array(requests.items[used])),
                "attraction": _lists(requests, pa.array(requests.attraction[used])),
                "conversion": _lists(requests, pa.array(requests.conversion[used])),
            }
        )

    def feedback(self, feedback: Feedback, told: Told, rivals: Numbers, in_time: Bools) -> pa.Table:
        """One row an event of feedback, copies and unusable events left out."""
        placed = (feedback.scenario >= 0) | (feedback.named >= 0)
        settled = in_time | (feedback.cause == NONE)
        beyond_doubt = (rivals == 0) & settled & placed & ~told.late
        return pa.table(
            {
                "stream": repeating(pa.array(FEEDBACK), feedback.stream),
                "event_id": event_ids(feedback.stream, feedback.number),
                "user_id": look_up(self.texts.users, feedback.user),
                "item_id": look_up(self.texts.items, feedback.item),
                "time_ms": feedback.time,
                "domain": self._domains(feedback.domain),
                "via_request_id": request_ids(feedback.via),
                "named": feedback.named >= 0,
                "cause_request_id": request_ids(feedback.cause),
                "cause_domain": self._domains(feedback.cause_domain),
                "cause_time_ms": _numbers(feedback.cause_time),
                "cause_origin": repeating(pa.array(ORIGINS), feedback.origin),
                "parent_event_id": click_ids(feedback.parent),
                "journey": repeating(pa.array(JOURNEYS), feedback.journey),
                "intent": feedback.intent,
                "rivals": rivals,
                "unambiguous": beyond_doubt,
                "retracted_ms": _numbers(told.retracted),
                "late": told.late,
                "copies": repeating(pa.array(COPIES), told.copies),
            }
        )

    def retractions(self, events: Retractions, late: Bools, copies: Numbers) -> pa.Table:
        """One row a retraction."""
        return pa.table(
            {
                "stream": repeating(pa.array(FEEDBACK), events.stream),
                "event_id": event_ids(events.stream, events.number),
                "user_id": look_up(self.texts.users, events.user),
                "time_ms": events.time,
                "late": late,
                "copies": repeating(pa.array(COPIES), copies),
            }
        )

    def _domains(self, numbers: npt.NDArray[np.integer]) -> pa.Array:
        return repeating(pa.array(self.world.domain_names), numbers)


def _lists(requests: Requests, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(offsets(requests), values)


def _numbers(values: npt.NDArray[np.integer]) -> pa.Array:
    """Numbers with null for none."""
    return pa.array(values, mask=values == NONE)
