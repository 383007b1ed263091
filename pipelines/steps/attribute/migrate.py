"""The state of step 1 under a spec that has grown."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.tables import Since
from pipelines.steps.conform import conformed
from pipelines.steps.ragged import offsets_of
from pipelines.steps.step import Tables
from pipelines.words import WORD, carried_schema
from schemas.hashing import hash_one
from schemas.spec import Spec
from schemas.spec.growth import Values


def migrated(state: Tables, old: Values, spec: Spec) -> Tables:
    """The state for `spec`; `old` are the values of the spec that made it, of version 3 or later.

    What was read has nulls in new features. A task that joins has labels for the requests after
    the last cut: of earlier ones some feedback was settled without it.
    """
    memory = Memory.of(_with_places(state))
    exposure, feedback = spec.of_kind("exposure")[0].name, spec.feedback_streams[0].name
    segments = {name: _carried(rows, spec, exposure) for name, rows in memory.segments.items()}
    arrived = None if memory.arrived is None else _carried(memory.arrived, spec, feedback)
    memory = _with_tasks(_with_domains(memory, old, spec), old, spec)
    return replace(memory, segments=segments, arrived=arrived).tables()


def _carried(rows: pa.Table, spec: Spec, stream: str) -> pa.Table:
    """Events as they travel; up to version 4 all text was plain."""
    whole = conformed(rows, carried_schema(spec, stream))
    fields = [
        field.with_type(WORD) if field.name in ("_source", "_stream") else field
        for field in whole.schema
    ]
    return whole.cast(pa.schema(fields))


def _with_places(state: Tables) -> Tables:
    """Version 3 kept samples without gaps in the order of requests, and did not say where."""
    requests, samples = state["requests"], state["samples"]
    if "first" in requests.column_names:
        return state
    counts = requests["samples"].to_numpy()
    first = pa.array(offsets_of(counts)[:-1])
    time_ms = pa.array(np.repeat(requests["time_ms"].to_numpy(), counts))
    return {
        **state,
        "requests": requests.append_column("first", first),
        "samples": samples.append_column("time_ms", time_ms),
    }


def _with_domains(memory: Memory, old: Values, spec: Spec) -> Memory:
    """Domains are numbered by their names: new ones move the others."""
    numbers = {name: number for number, name in enumerate(spec.domains)}
    place = np.array([numbers[name] for name in old["domains"]], np.int64)
    domain = memory.feedback.domain
    moved = np.where(domain < 0, domain, place[domain])
    return replace(memory, feedback=replace(memory.feedback, domain=moved))


def _with_tasks(memory: Memory, old: Values, spec: Spec) -> Memory:
    joined = [hash_one(name) for name in spec.tasks if name not in old["tasks"]]
    fresh = Since(np.array(joined, np.int64), np.full(len(joined), memory.last_cut))
    return replace(memory, since=memory.since.joined(fresh))
