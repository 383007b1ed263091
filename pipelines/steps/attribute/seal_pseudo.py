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
    of_target = pc.equal(requests["domain"], target.domain)
    asked = pc.and_(of_target, pc.greater(pc.binary_length(requests["query"]), 0))
    asks = asked.fill_null(False).combine_chunks()
    queries = (
        requests.select(("window_start_ms", "time_ms", "query"))
        .filter(asks)
        .group_by(["window_start_ms", "query"])
        .aggregate([("time_ms", "min")])
    )
    return {
        "pseudo": pseudo,
        "wanted": _items_of(pseudo, WANTED),
        "shown": _items_of(requests, SHOWN, asks),
        "queries": queries.rename_columns({"time_ms_min": "time_ms"})
        .select(QUERIES.names)
        .cast(QUERIES),
    }


def _items_of(
    requests: pa.Table, schema: pa.Schema, asks: pa.BooleanArray | None = None
) -> pa.Table:
    """One row for each candidate of the requests; or for each exposed one of those that ask."""
    candidates = requests["candidates"].combine_chunks()
    items = candidates.field("item")
    owner = np.repeat(np.arange(len(requests)), _lengths(items))
    values = {name: candidates.field(name).flatten() for name in ("item", "origin")}
    if asks is not None:
        exposed = values["origin"].to_numpy() == ORIGIN_CODES["exposed"]
        rows = np.flatnonzero(exposed & np.asarray(asks)[owner])
        owner, values = owner[rows], {name: v.take(pa.array(rows)) for name, v in values.items()}
    columns = [
        values[name] if name in values else requests[name].take(pa.array(owner))
        for name in schema.names
    ]
    return pa.table(columns, schema=schema)


def _lengths(lists: pa.ListArray) -> Ints:
    return np.asarray(pc.list_value_length(lists))
