"""What a sealed window shows of requests made of foreign clicks, and what is asked about them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.arrays import Ints
from pipelines.steps.attribute.chosen import Shown
from pipelines.steps.attribute.labels import Label
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.seal import in_final_order, sealed
from pipelines.steps.attribute.searchify import Made
from pipelines.steps.attribute.tables import Credits
from pipelines.steps.ragged import runs
from pipelines.steps.resolve.tables import QUERIES, SHOWN, WANTED
from schemas.labels import ORIGIN_CODES

POSITIVE = ORIGIN_CODES["searchified_positive"]
NEGATIVE = ORIGIN_CODES["searchified_negative"]


def seal_pseudo(
    memory: Memory, made: Made, label: Label, credits: Credits, rules: Rules
) -> pa.Table:
    """The pseudo-requests of every window sealed now, each with every possible negative.

    These are the exposed candidates of the source without a standing click; which of them stay
    is decided where their texts are known. By (window, user id, time, source id, item id).
    """
    first = len(memory.requests) - len(made.source)
    order = in_final_order(memory, np.arange(first, len(memory.requests)), rules)
    source, clicked = made.source[order - first], made.sample[order - first]
    counts = memory.requests.samples[source]
    samples = runs(memory.requests.first[source], counts)
    owner = np.repeat(np.arange(len(source)), counts)
    positive = samples == clicked[owner]
    stays = positive | (memory.samples.exposed[samples] & ~made.clicked[samples])
    samples, owner, positive = samples[stays], owner[stays], positive[stays]
    labelled = np.where(positive, memory.requests.first[order][owner], -1)
    origin = np.where(positive, POSITIVE, NEGATIVE).astype(np.int32)
    shown = Shown(samples, np.bincount(owner, minlength=len(source)), labelled, origin)
    return sealed(memory, order, shown, label, credits, rules)


def questions_of(pseudo: pa.Table, requests: pa.Table, rules: Rules) -> dict[str, pa.Table]:
    """What the next steps are asked: texts of items and queries; and what they learn from."""
    target = rules.spec.target
    assert target is not None
    native = requests.filter(pc.equal(requests["domain"], target.domain))
    native = native.filter(pc.greater(pc.binary_length(native["query"]), 0))
    keys = ("window_start_ms", "time_ms", "query")
    queries = (
        native.select(keys).group_by(["window_start_ms", "query"]).aggregate([("time_ms", "min")])
    )
    return {
        "pseudo": pseudo,
        "wanted": _items_of(pseudo, WANTED, None),
        "shown": _items_of(native, SHOWN, ORIGIN_CODES["exposed"]),
        "queries": queries.rename_columns({"time_ms_min": "time_ms"})
        .select(QUERIES.names)
        .cast(QUERIES),
    }


def _items_of(requests: pa.Table, schema: pa.Schema, origin: int | None) -> pa.Table:
    """One row for each candidate of the requests, or for those of one origin."""
    candidates = requests["candidates"].combine_chunks()
    items = candidates.field("item")
    owner = np.repeat(np.arange(len(requests)), _lengths(items))
    columns = {
        **{
            name: requests[name].take(pa.array(owner)) for name in ("window_start_ms", "user", "id")
        },
        "time_ms": requests["time_ms"].take(pa.array(owner)),
        "query": requests["query"].take(pa.array(owner)),
        "item": items.flatten(),
        "origin": candidates.field("origin").flatten(),
    }
    table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    if origin is None:
        return table
    return table.filter(pc.equal(candidates.field("origin").flatten(), origin))


def _lengths(lists: pa.ListArray) -> Ints:
    return np.asarray(pc.list_value_length(lists))
