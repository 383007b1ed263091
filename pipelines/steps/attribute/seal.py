"""What a sealed window shows: its requests with candidates and labels."""

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.attribute.chosen import Chosen, Known, Shown
from pipelines.steps.attribute.labels import Label
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.seal_labels import as_list, label_columns
from pipelines.steps.attribute.tables import Credits
from pipelines.steps.ragged import runs
from schemas.labels import ORIGIN_CODES
from schemas.record import candidates_type, request_type


def sealed_schema(rules: Rules) -> pa.Schema:
    """One request of a sealed window: whose it is, then the record's request."""
    keys = [("window_start_ms", pa.int64()), ("user_id", pa.string()), ("user", pa.int64())]
    fields = [pa.field(name, kind, nullable=False) for name, kind in keys]
    return pa.schema([*fields, *request_type(rules.spec)])


def seal_requests(
    memory: Memory, label: Label, credits: Credits, cut: int, rules: Rules
) -> pa.Table:
    """The native requests of every window sealed now, by (window, user id, time, request id)."""
    rows = memory.requests
    sealed_at = rules.sealed_at(rows.time_ms)
    now = rows.settled & ~rows.pseudo & (sealed_at > memory.last_cut) & (sealed_at <= cut)
    order = in_final_order(memory, np.flatnonzero(now), rules)
    counts = rows.samples[order]
    samples = runs(rows.first[order], counts)
    codes = ORIGIN_CODES["exposed"], ORIGIN_CODES["unexposed"]
    origin = np.where(memory.samples.exposed[samples], *codes).astype(np.int32)
    return sealed(memory, order, Shown(samples, counts, samples, origin), label, credits, rules)


def in_final_order(memory: Memory, due: Ints, rules: Rules) -> Ints:
    """Requests by (window, user id, time, id); of pseudo ones (source id, item id) decides."""
    rows = memory.requests
    frame = pl.DataFrame(
        {
            "row": due,
            "window": rules.sealed_at(rows.time_ms[due]),
            "user": pl.Series(rows.user_id.take(pa.array(due)), dtype=pl.String),
            "time": rows.time_ms[due],
        }
    )
    names = {"id": rows.request_id.take(pa.array(due))}
    if rows.pseudo[due].any():
        item = memory.samples.item_id.take(pa.array(rows.first[due]))
        names = {"id": rows.source_id.take(pa.array(due)), "item": item}
    frame = frame.with_columns(**{n: pl.Series(v, dtype=pl.String) for n, v in names.items()})
    return frame.sort("window", "user", "time", *names)["row"].to_numpy()


def sealed(
    memory: Memory,
    requests: Ints,
    shown: Shown,
    label: Label,
    credits: Credits,
    rules: Rules,
) -> pa.Table:
    """Requests with the samples that are shown of them, as `sealed_schema` says."""
    schema = sealed_schema(rules)
    if not len(requests):
        return schema.empty_table()
    chosen = Chosen.of(memory, requests, shown)
    known = Known.of(memory, chosen, rules)
    columns = {
        **_keys(memory, chosen, rules),
        **known.encoded(chosen.logged, rules.spec.owned_by("user", "context", "query")),
        "candidates": _candidates(memory, chosen, known, label, credits, rules),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _keys(memory: Memory, chosen: Chosen, rules: Rules) -> dict[str, pa.Array]:
    rows, asked = memory.requests, chosen.requests
    time_ms, pseudo = rows.time_ms[asked], rows.pseudo[asked]
    window = rules.spec.window
    names = np.array(list(rules.spec.domains), object)
    domain = rules.domain_of(rows.scenario[asked])
    query, scenario = (
        chosen.logged[name].combine_chunks().cast(pa.string()) for name in ("query", "scenario")
    )
    source = rows.source_id.take(pa.array(asked, mask=~pseudo))
    return {
        "window_start_ms": pa.array(
            rules.sealed_at(time_ms) - window.maturity_ms - window.length_ms
        ),
        "user_id": rows.user_id.take(pa.array(asked)),
        "user": pa.array(rows.user[asked]),
        "id": rows.request_id.take(pa.array(asked)),
        "time_ms": pa.array(time_ms),
        "scenario": scenario,
        "domain": pa.array(names[np.where(pseudo, rules.target, domain)], pa.string()),
        "origin_domain": pa.array(names[domain], pa.string()),
        "query": query.take(pa.array(np.arange(len(asked)), mask=pseudo)),
        "source_request": source,
        "query_path": pa.nulls(len(asked), pa.int32()),
        "query_score": pa.nulls(len(asked), pa.float64()),
    }


def _candidates(
    memory: Memory, chosen: Chosen, known: Known, label: Label, credits: Credits, rules: Rules
) -> pa.StructArray:
    samples, shown = memory.samples, chosen.shown
    each = known.repeated(shown.counts)
    columns = {
        "item": pa.array(samples.item[shown.samples]),
        "item_id": samples.item_id.take(pa.array(shown.samples)),
        "origin": pa.array(shown.origin),
        "position": chosen.candidates["position"].combine_chunks().cast(pa.int32()),
        "probability": pa.array(samples.probability[shown.samples]),
        **each.encoded(chosen.candidates, rules.spec.owned_by("item", "cross")),
    }
    kind = candidates_type(rules.spec)
    labels = label_columns(memory, chosen.requests, shown, label, credits, rules)
    lists = [
        labels
        if field.name == "labels"
        else as_list(shown.offsets, columns[field.name], field.type)
        for field in kind
    ]
    return pa.StructArray.from_arrays(lists, fields=list(kind))
