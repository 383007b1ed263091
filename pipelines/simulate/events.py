"""Rows of the simulator as the event tables of the shipped spec `simulated`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.simulate.catalogue import Catalogue, ItemEvents
from pipelines.simulate.delivery import Retractions
from pipelines.simulate.feedback import CLICK, Actions
from pipelines.simulate.ids import lettered, numbered
from pipelines.simulate.requests import DEVICES, Exposures
from pipelines.simulate.rows import NONE, Numbers
from pipelines.simulate.world import FEEDBACK, World

HOUR_MS = 3_600_000
AGES = ("18-24", "25-34", "35-49", "50+")
UNKNOWN_SCENARIO = "unlisted_page"
_LETTERS = np.frombuffer(b"cab", np.uint8)
"""First letter of the event ids of each feedback stream."""

_Indices = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Texts:
    """All strings that events are made of, looked up by number."""

    users: pa.Array
    items: pa.Array
    categories: pa.Array
    sellers: pa.Array
    scenarios: pa.Array
    queries: pa.Array
    query_words: pa.Array
    """Words of each query text, a list each."""

    @classmethod
    def of(cls, world: World, catalogue: Catalogue) -> "Texts":
        """The strings of a world."""
        words = phrases(catalogue.words, catalogue.wordings)
        return cls(
            users=numbered("u", np.arange(world.users.count)),
            items=catalogue.item_ids,
            categories=numbered("k", np.arange(world.items.categories)),
            sellers=numbered("s", np.arange(world.items.sellers)),
            scenarios=pa.array([*world.scenarios, UNKNOWN_SCENARIO]),
            queries=words,
            query_words=pc.split_pattern(words, " "),
        )


def phrases(words: pa.Array, numbers: npt.NDArray[np.int64]) -> pa.Array:
    """Words [n, k] as texts [n]."""
    columns = [words.take(pa.array(column)) for column in numbers.T]
    return pc.binary_join_element_wise(*columns, " ")


def request_ids(numbers: npt.NDArray[np.int64]) -> pa.Array:
    """Request ids; null for none."""
    return numbered("r", numbers)


def click_ids(numbers: npt.NDArray[np.int64]) -> pa.Array:
    """Event ids of clicks; null for none."""
    return numbered("c", numbers)


def event_ids(stream: Numbers, number: npt.NDArray[np.int64]) -> pa.Array:
    """Event ids of feedback of any streams; those of unusable events have numbers below none."""
    odd = number < NONE
    letters = np.where(odd, ord("x"), _LETTERS[stream]).astype(np.uint8)
    return lettered(letters, np.where(odd, -number, number))


def query_texts(texts: Texts, requests: Exposures) -> pa.Array:
    """Query of each request; null without one."""
    queries = look_up(texts.queries, requests.wording)
    rare = numbered("x", requests.rare)
    joined = pc.binary_join_element_wise(queries, rare, " ")
    return pc.coalesce(joined, queries)


def exposure_table(catalogue: Catalogue, texts: Texts, requests: Exposures) -> pa.Table:
    """Events of stream `exposure`."""
    hours = (requests.time // HOUR_MS % 24).astype(np.int32)
    return pa.table(
        {
            "request_id": request_ids(requests.number),
            "user_id": look_up(texts.users, requests.user),
            "time_ms": pa.array(requests.time),
            "scenario": repeating(texts.scenarios, requests.scenario),
            "query": query_texts(texts, requests),
            "age": repeating(pa.array(AGES), requests.user * 7 % len(AGES)),
            "hour": repeating(pa.array([str(hour) for hour in range(24)]), hours),
            "device": repeating(pa.array(DEVICES), requests.device),
            "query_words": look_up(texts.query_words, requests.wording),
            "candidates": _candidates(catalogue, texts, requests),
        }
    )


def _candidates(catalogue: Catalogue, texts: Texts, requests: Exposures) -> pa.Array:
    used = listed(requests)
    items = requests.items[used]
    positions = np.broadcast_to(np.arange(used.shape[1]), used.shape)
    columns = {
        "item_id": look_up(texts.items, items),
        "position": pa.array(positions[used]),
        "exposed": pa.array((positions < requests.exposed[:, None])[used]),
        "category": repeating(texts.categories, catalogue.category[items]),
        "seller": repeating(texts.sellers, catalogue.seller[items]),
        "price": pa.array(requests.cents[used] / 100),
    }
    structs = pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
    return pa.ListArray.from_arrays(offsets(requests), structs)


def listed(requests: Exposures) -> npt.NDArray[np.bool_]:
    """Which slots hold candidates, [n, K]."""
    return np.arange(requests.items.shape[1]) < requests.width[:, None]


def offsets(requests: Exposures) -> pa.Array:
    """Where each request's candidates begin, and the end."""
    return pa.array(np.concatenate([[0], np.cumsum(requests.width)]).astype(np.int32))


def feedback_tables(catalogue: Catalogue, texts: Texts, feedback: Actions) -> dict[str, pa.Table]:
    """Events of each feedback stream."""
    parts = {name: feedback.take(feedback.stream == s) for s, name in enumerate(FEEDBACK)}
    return {name: _feedback_table(catalogue, texts, part) for name, part in parts.items()}


def _feedback_table(catalogue: Catalogue, texts: Texts, feedback: Actions) -> pa.Table:
    value = pa.array(feedback.cents / 100)
    priced = pa.array(feedback.stream != CLICK)
    return pa.table(
        {
            "event_id": event_ids(feedback.stream, feedback.number),
            "user_id": look_up(texts.users, feedback.user),
            "time_ms": pa.array(feedback.time),
            "item_id": look_up(texts.items, feedback.item),
            "scenario": repeating(texts.scenarios, feedback.scenario),
            "request_id": request_ids(feedback.named),
            "value": pc.if_else(priced, value, None),
            "category": repeating(texts.categories, catalogue.category[feedback.item]),
            "seller": repeating(texts.sellers, catalogue.seller[feedback.item]),
        }
    )


def item_table(catalogue: Catalogue, texts: Texts, events: ItemEvents) -> pa.Table:
    """Events of stream `item`."""
    titles = phrases(catalogue.words, events.title)
    return pa.table(
        {
            "item_id": look_up(texts.items, events.item),
            "time_ms": pa.array(events.time),
            "title": pc.if_else(pa.array(events.titled), titles, None),
            "category": repeating(texts.categories, catalogue.category[events.item]),
            "seller": repeating(texts.sellers, catalogue.seller[events.item]),
            "price": pa.array(events.cents / 100),
        }
    )


def retraction_table(texts: Texts, events: Retractions) -> pa.Table:
    """Events of stream `retraction`."""
    return pa.table(
        {
            "stream": repeating(pa.array(FEEDBACK), events.stream),
            "event_id": event_ids(events.stream, events.number),
            "user_id": look_up(texts.users, events.user),
            "time_ms": pa.array(events.time),
        }
    )


def look_up(values: pa.Array, numbers: _Indices) -> pa.Array:
    """Values by number; null for none."""
    return repeating(values, numbers).dictionary_decode()


def repeating(values: pa.Array, numbers: _Indices) -> pa.DictionaryArray:
    """Values by number, null for none; few values, each of which is stored once in a file."""
    return pa.DictionaryArray.from_arrays(_indices(numbers), values)


def _indices(numbers: _Indices) -> pa.Array:
    none = numbers == NONE
    return pa.array(numbers, mask=none if none.any() else None)
