"""What a sealed window shows: its requests with candidates and labels.

Nested payloads are gathered here, once, straight into their final order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipelines.arrays import Bools, Floats, Ints
from pipelines.steps.attribute.labels import Label
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import Credits
from pipelines.steps.encode import encode_known
from pipelines.steps.ragged import inverse, offsets_of, runs
from schemas.labels import ORIGIN_CODES
from schemas.record import candidates_type, label_type, labels_type, request_type
from schemas.spec import Feature


def sealed_schema(rules: Rules) -> pa.Schema:
    """One request of a sealed window: whose it is, then the record's request."""
    keys = [("window_start_ms", pa.int64()), ("user_id", pa.string()), ("user", pa.int64())]
    fields = [pa.field(name, kind, nullable=False) for name, kind in keys]
    return pa.schema([*fields, *request_type(rules.spec)])


@dataclass(frozen=True)
class _Chosen:
    """The requests to show, in final order, with their samples and what was logged of both."""

    requests: Ints
    samples: Ints
    counts: Ints
    logged: pa.Table
    candidates: pa.Table


def seal_requests(
    memory: Memory, label: Label, credits: Credits, cut: int, rules: Rules
) -> pa.Table:
    """The requests of every window sealed now, by (window, user id, time, request id)."""
    rows = memory.requests
    sealed_at = rules.sealed_at(rows.time_ms)
    due = np.flatnonzero(rows.settled & (sealed_at > memory.last_cut) & (sealed_at <= cut))
    schema = sealed_schema(rules)
    if not len(due):
        return schema.empty_table()
    chosen = _choose(memory, due, rules)
    domain = rules.domain_of(rows.scenario[chosen.requests])
    columns = {
        **_keys(memory, chosen, rules),
        **_encoded(chosen.logged, rules.spec.owned_by("user", "context", "query"), domain, rules),
        "candidates": _candidates(memory, chosen, label, credits, rules),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _choose(memory: Memory, due: Ints, rules: Rules) -> _Chosen:
    rows = memory.requests
    frame = pl.DataFrame(
        {
            "row": due,
            "window": rules.sealed_at(rows.time_ms[due]),
            "user": pl.Series(rows.user_id.take(pa.array(due)), dtype=pl.String),
            "time": rows.time_ms[due],
            "id": pl.Series(rows.request_id.take(pa.array(due)), dtype=pl.String),
        }
    )
    order = frame.sort("window", "user", "time", "id")["row"].to_numpy()
    counts = rows.samples[order]
    samples = runs(offsets_of(rows.samples)[:-1][order], counts)
    logged, candidates = _gather(memory, order, samples, counts)
    return _Chosen(order, samples, counts, logged, candidates)


def _gather(memory: Memory, order: Ints, samples: Ints, counts: Ints) -> tuple[pa.Table, pa.Table]:
    """The logged columns of requests and of candidates, out of the segments that hold them."""
    segment = memory.requests.segment[order]
    used = np.unique(segment)
    tables = [memory.segments[int(one)] for one in used]
    children = [_children(table) for table in tables]
    at = np.searchsorted(used, segment)
    rows = offsets_of(np.array([table.num_rows for table in tables]))[at]
    bases = offsets_of(np.array([table.num_rows for table in children]))[at]
    logged = pa.concat_tables([table.drop_columns(["candidates"]) for table in tables])
    row = pa.array(rows + memory.requests.row[order])
    child = pa.array(np.repeat(bases, counts) + memory.samples.child[samples])
    return logged.take(row), pa.concat_tables(children).take(child)


def _children(segment: pa.Table) -> pa.Table:
    flat = [chunk.flatten() for chunk in segment["candidates"].chunks]
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(chunk) for chunk in flat])


def _keys(memory: Memory, chosen: _Chosen, rules: Rules) -> dict[str, pa.Array]:
    rows = memory.requests
    time_ms = rows.time_ms[chosen.requests]
    sealed_at = rules.sealed_at(time_ms)
    window = rules.spec.window
    names = np.array(list(rules.spec.domains), object)
    domain = pa.array(names[rules.domain_of(rows.scenario[chosen.requests])], pa.string())
    return {
        "window_start_ms": pa.array(sealed_at - window.maturity_ms - window.length_ms),
        "user_id": rows.user_id.take(pa.array(chosen.requests)),
        "user": pa.array(rows.user[chosen.requests]),
        "id": rows.request_id.take(pa.array(chosen.requests)),
        "time_ms": pa.array(time_ms),
        "scenario": chosen.logged["scenario"].combine_chunks(),
        "domain": domain,
        "origin_domain": domain,
        "query": chosen.logged["query"].combine_chunks(),
    }


def _encoded(
    logged: pa.Table, features: tuple[Feature, ...], domain: Ints, rules: Rules
) -> dict[str, pa.Array]:
    """The features of rows of these domains; missing where a domain does not log them."""
    domains = list(rules.spec.domains)
    columns = {}
    for feature in features:
        known = np.isin(domain, [domains.index(d) for d in feature.domains or domains])
        columns[feature.name] = encode_known(feature, logged[feature.name].combine_chunks(), known)
    return columns


def _candidates(
    memory: Memory, chosen: _Chosen, label: Label, credits: Credits, rules: Rules
) -> pa.StructArray:
    samples = memory.samples
    domain = np.repeat(rules.domain_of(memory.requests.scenario[chosen.requests]), chosen.counts)
    columns = {
        "item": pa.array(samples.item[chosen.samples]),
        "item_id": samples.item_id.take(pa.array(chosen.samples)),
        "origin": pa.array(_origins(samples.exposed[chosen.samples])),
        "position": chosen.candidates["position"].combine_chunks().cast(pa.int32()),
        "probability": pa.array(samples.probability[chosen.samples]),
        **_encoded(chosen.candidates, rules.spec.owned_by("item", "cross"), domain, rules),
    }
    kind = candidates_type(rules.spec)
    offsets = pa.array(offsets_of(chosen.counts).astype(np.int32))
    labels = _labels(memory, chosen, label, credits, rules, offsets)
    lists = [
        labels if field.name == "labels" else _list(offsets, columns[field.name], field.type)
        for field in kind
    ]
    return pa.StructArray.from_arrays(lists, fields=list(kind))


def _origins(exposed: Bools) -> npt.NDArray[np.int32]:
    return np.where(exposed, ORIGIN_CODES["exposed"], ORIGIN_CODES["unexposed"]).astype(np.int32)


def _list(offsets: pa.Array, values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    return pa.ListArray.from_arrays(offsets, values, type=kind)


def _labels(
    memory: Memory,
    chosen: _Chosen,
    label: Label,
    credits: Credits,
    rules: Rules,
    offsets: pa.Array,
) -> pa.StructArray:
    """Each task's labels of the chosen samples; value null where the task does not apply."""
    places = inverse(chosen.samples, len(memory.samples))
    time_ms = np.repeat(memory.requests.time_ms[chosen.requests], chosen.counts)
    scenario = np.repeat(memory.requests.scenario[chosen.requests], chosen.counts)
    domain, sealed_at = rules.domain_of(scenario), rules.sealed_at(time_ms)
    domains = list(rules.spec.domains)
    structs = []
    for index, task in enumerate(rules.tasks):
        applies = np.isin(domain, [domains.index(name) for name in task.domains])
        mine = label.task == index
        credit = np.full(len(chosen.samples), -1, np.int64)
        credit[places[label.sample[mine]]] = label.credit[mine]
        value = np.zeros(len(chosen.samples))
        value[places[label.sample[mine]]] = label.value[mine]
        is_open = applies & (rules.closes(np.full(len(domain), index), time_ms) > sealed_at)
        structs.append(_label_struct(memory, credits, credit, value, applies, is_open, offsets))
    return pa.StructArray.from_arrays(structs, fields=list(labels_type(rules.spec)))


def _label_struct(
    memory: Memory,
    credits: Credits,
    credit: Ints,
    value: Floats,
    applies: Bools,
    is_open: Bools,
    offsets: pa.Array,
) -> pa.StructArray:
    columns = {
        "value": pa.array(value, mask=~applies),
        **cited(memory, credits, credit),
        "open": pa.array(is_open),
    }
    kind = label_type()
    lists = [_list(offsets, columns[field.name], field.type) for field in kind]
    return pa.StructArray.from_arrays(lists, fields=list(kind))


def cited(memory: Memory, credits: Credits, credit: Ints) -> dict[str, pa.Array]:
    """Tier, event id and event time of credits; null where the credit is -1."""
    row = pa.array(credit, mask=credit < 0)
    tier = pa.array(credits.tier.astype(np.int32)).take(row)
    feedback = pa.array(credits.feedback).take(row)
    return {
        "tier": tier,
        "event_id": memory.feedback.event_id.take(feedback),
        "time_ms": pa.array(memory.feedback.time_ms).take(feedback),
    }
