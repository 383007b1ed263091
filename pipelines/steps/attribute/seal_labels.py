"""Labels as the arrays that a sealed window and its revisions show."""

import numpy as np
import pyarrow as pa

from pipelines.arrays import Ints
from pipelines.steps.attribute.chosen import Shown
from pipelines.steps.attribute.labels import Label, begun
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.tables import Credits
from schemas.record import label_type, labels_type


def label_columns(
    memory: Memory, requests: Ints, shown: Shown, label: Label, credits: Credits, rules: Rules
) -> pa.StructArray:
    """Each task's labels of the samples shown; value null where the task does not apply."""
    labelled = np.flatnonzero(shown.labelled >= 0)
    places = np.full(len(memory.samples), -1, np.int64)
    places[shown.labelled[labelled]] = labelled
    requests = np.repeat(requests, shown.counts)
    time_ms = memory.requests.time_ms[requests]
    own = rules.domain_of(memory.requests.scenario[requests])
    domain = np.where(memory.requests.pseudo[requests], rules.target, own)
    sealed_at = rules.sealed_at(time_ms)
    structs = []
    for index, task in enumerate(rules.tasks):
        applies = np.isin(domain, rules.domains_of(task))
        applies &= begun(memory, np.full(len(domain), index), time_ms, rules)
        mine = (label.task == index) & (places[label.sample] >= 0)
        credit = np.full(len(shown.samples), -1, np.int64)
        credit[places[label.sample[mine]]] = label.credit[mine]
        value = np.zeros(len(shown.samples))
        value[places[label.sample[mine]]] = label.value[mine]
        is_open = applies & (rules.closes(np.full(len(domain), index), time_ms) > sealed_at)
        columns = {
            "value": pa.array(value, mask=~applies),
            **cited(memory, credits, credit),
            "open": pa.array(is_open),
        }
        kind = label_type()
        lists = [as_list(shown.offsets, columns[field.name], field.type) for field in kind]
        structs.append(pa.StructArray.from_arrays(lists, fields=list(kind)))
    return pa.StructArray.from_arrays(structs, fields=list(labels_type(rules.spec)))


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


def as_list(offsets: pa.Array, values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    """Values as lists that `offsets` cut."""
    return pa.ListArray.from_arrays(offsets, values, type=kind)
