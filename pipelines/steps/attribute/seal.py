"""What a sealed window shows: its requests with candidates and labels.

Nested payloads are gathered here, once, straight into their final order.
"""

from dataclasses import dataclass, replace

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
from pipelines.steps.ragged import offsets_of, runs
from schemas.labels import ORIGIN_CODES
from schemas.record import candidates_type, label_type, labels_type, request_type
from schemas.spec import Feature, Spec


def sealed_schema(rules: Rules) -> pa.Schema:
    """One request of a sealed window: whose it is, then the record's request."""
    keys = [("window_start_ms", pa.int64()), ("user_id", pa.string()), ("user", pa.int64())]
    fields = [pa.field(name, kind, nullable=False) for name, kind in keys]
    return pa.schema([*fields, *request_type(rules.spec)])


@dataclass(frozen=True)
class Chosen:
    """The requests to show, in final order, with their samples and what was logged of both.

    `labelled` are the samples whose labels are shown, -1 where there is none to show.
    """

    requests: Ints
    samples: Ints
    labelled: Ints
    origin: npt.NDArray[np.int32]
    counts: Ints
    logged: pa.Table
    candidates: pa.Table

    @classmethod
    def of(
        cls,
        memory: Memory,
        requests: Ints,
        samples: Ints,
        counts: Ints,
        labelled: Ints,
        origin: npt.NDArray[np.int32],
    ) -> "Chosen":
        """Gather what was logged."""
        logged, candidates = _gather(memory, requests, samples, counts)
        return cls(requests, samples, labelled, origin, counts, logged, candidates)


def seal_requests(
    memory: Memory, label: Label, credits: Credits, cut: int, rules: Rules
) -> pa.Table:
    """The native requests of every window sealed now, by (window, user id, time, request id)."""
    rows = memory.requests
    sealed_at = rules.sealed_at(rows.time_ms)
    now = rows.settled & ~rows.pseudo & (sealed_at > memory.last_cut) & (sealed_at <= cut)
    order = in_final_order(memory, np.flatnonzero(now), rules)
    counts = rows.samples[order]
    samples = runs(offsets_of(rows.samples)[:-1][order], counts)
    codes = ORIGIN_CODES["exposed"], ORIGIN_CODES["unexposed"]
    origin = np.where(memory.samples.exposed[samples], *codes).astype(np.int32)
    return sealed(memory, order, (samples, counts, samples, origin), label, credits, rules)


def in_final_order(memory: Memory, due: Ints, rules: Rules) -> Ints:
    """Requests by (window, user id, time, id); of pseudo ones (source id, item id) decides."""
    rows = memory.requests
    first = offsets_of(rows.samples)[due]
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
        item = memory.samples.item_id.take(pa.array(first))
        names = {"id": rows.source_id.take(pa.array(due)), "item": item}
    frame = frame.with_columns(**{n: pl.Series(v, dtype=pl.String) for n, v in names.items()})
    return frame.sort("window", "user", "time", *names)["row"].to_numpy()


def sealed(
    memory: Memory,
    requests: Ints,
    shown: tuple[Ints, Ints, Ints, npt.NDArray[np.int32]],
    label: Label,
    credits: Credits,
    rules: Rules,
) -> pa.Table:
    """Requests with the samples that are shown of them, as `sealed_schema` says.

    `shown`: samples, how many each request shows, the samples whose labels they carry, origins.
    """
    schema = sealed_schema(rules)
    if not len(requests):
        return schema.empty_table()
    samples, counts, labelled, origin = shown
    chosen = Chosen.of(memory, requests, samples, counts, labelled, origin)
    known = _Known.of(memory, chosen, rules)
    columns = {
        **_keys(memory, chosen, rules),
        **known.encoded(chosen.logged, rules.spec.owned_by("user", "context", "query")),
        "candidates": _candidates(memory, chosen, known, label, credits, rules),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


@dataclass(frozen=True)
class _Known:
    """Which features a request's domain logs; of pseudo ones those that the target has, too."""

    spec: Spec
    domain: Ints
    pseudo: Bools

    @classmethod
    def of(cls, memory: Memory, chosen: Chosen, rules: Rules) -> "_Known":
        rows = memory.requests
        domain = rules.domain_of(rows.scenario[chosen.requests])
        return cls(rules.spec, domain, rows.pseudo[chosen.requests])

    def repeated(self, counts: Ints) -> "_Known":
        """The same of each candidate."""
        return replace(
            self, domain=np.repeat(self.domain, counts), pseudo=np.repeat(self.pseudo, counts)
        )

    def encoded(self, logged: pa.Table, features: tuple[Feature, ...]) -> dict[str, pa.Array]:
        """The features in the record's form, missing where they are not known."""
        return {
            f.name: encode_known(f, logged[f.name].combine_chunks(), self._holds(f))
            for f in features
        }

    def _holds(self, feature: Feature) -> Bools:
        names = list(self.spec.domains)
        logged = np.array([feature.is_logged_in(name) for name in names])[self.domain]
        if not self.pseudo.any():
            return logged
        target = self.spec.target
        carried = target is not None and feature.is_logged_in(target.domain)
        carried = carried and feature.owner != "query" and feature.recipe is None
        return logged & (carried | ~self.pseudo)


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


def _keys(memory: Memory, chosen: Chosen, rules: Rules) -> dict[str, pa.Array]:
    rows, asked = memory.requests, chosen.requests
    time_ms, pseudo = rows.time_ms[asked], rows.pseudo[asked]
    window = rules.spec.window
    names = np.array(list(rules.spec.domains), object)
    domain = rules.domain_of(rows.scenario[asked])
    query = chosen.logged["query"].combine_chunks()
    source = rows.source_id.take(pa.array(asked, mask=~pseudo))
    return {
        "window_start_ms": pa.array(
            rules.sealed_at(time_ms) - window.maturity_ms - window.length_ms
        ),
        "user_id": rows.user_id.take(pa.array(asked)),
        "user": pa.array(rows.user[asked]),
        "id": rows.request_id.take(pa.array(asked)),
        "time_ms": pa.array(time_ms),
        "scenario": chosen.logged["scenario"].combine_chunks(),
        "domain": pa.array(names[np.where(pseudo, rules.target, domain)], pa.string()),
        "origin_domain": pa.array(names[domain], pa.string()),
        "query": query.take(pa.array(np.arange(len(asked)), mask=pseudo)),
        "source_request": source,
        "query_path": pa.nulls(len(asked), pa.int32()),
        "query_score": pa.nulls(len(asked), pa.float64()),
    }


def _candidates(
    memory: Memory,
    chosen: Chosen,
    known: _Known,
    label: Label,
    credits: Credits,
    rules: Rules,
) -> pa.StructArray:
    samples, rows = memory.samples, pa.array(chosen.samples)
    each = known.repeated(chosen.counts)
    native = chosen.origin < ORIGIN_CODES["searchified_positive"]
    columns = {
        "item": pa.array(samples.item[chosen.samples]),
        "item_id": samples.item_id.take(rows),
        "origin": pa.array(chosen.origin),
        "position": chosen.candidates["position"].combine_chunks().cast(pa.int32()),
        "probability": pa.array(np.where(native, samples.probability[chosen.samples], 1.0)),
        **each.encoded(chosen.candidates, rules.spec.owned_by("item", "cross")),
    }
    kind = candidates_type(rules.spec)
    offsets = pa.array(offsets_of(chosen.counts).astype(np.int32))
    labels = _labels(memory, chosen, label, credits, rules, offsets)
    lists = [
        labels if field.name == "labels" else _list(offsets, columns[field.name], field.type)
        for field in kind
    ]
    return pa.StructArray.from_arrays(lists, fields=list(kind))


def _list(offsets: pa.Array, values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    return pa.ListArray.from_arrays(offsets, values, type=kind)


def _labels(
    memory: Memory,
    chosen: Chosen,
    label: Label,
    credits: Credits,
    rules: Rules,
    offsets: pa.Array,
) -> pa.StructArray:
    """Each task's labels of the chosen samples; value null where the task does not apply."""
    shown = np.flatnonzero(chosen.labelled >= 0)
    places = np.full(len(memory.samples), -1, np.int64)
    places[chosen.labelled[shown]] = shown
    requests = np.repeat(chosen.requests, chosen.counts)
    time_ms = memory.requests.time_ms[requests]
    own = rules.domain_of(memory.requests.scenario[requests])
    domain = np.where(memory.requests.pseudo[requests], rules.target, own)
    sealed_at = rules.sealed_at(time_ms)
    structs = []
    for index, task in enumerate(rules.tasks):
        applies = np.isin(domain, rules.domains_of(task))
        mine = (label.task == index) & (places[label.sample] >= 0)
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
