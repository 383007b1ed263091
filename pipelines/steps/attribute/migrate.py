"""The state of step 1 under a spec that has grown."""

from dataclasses import replace

import numpy as np

from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.tables import Since
from pipelines.steps.conform import conformed
from pipelines.steps.step import Tables
from schemas.events import arrow_schema
from schemas.hashing import hash_one
from schemas.spec import Spec
from schemas.spec.growth import Values


def migrated(state: Tables, old: Values, spec: Spec) -> Tables:
    """The state for `spec`; `old` are the values of the spec that made it.

    What was read has nulls in new features. A task that joins has labels for the requests after
    the last cut: of earlier ones some feedback was settled without it.
    """
    memory = Memory.of(state)
    exposure = arrow_schema(spec, spec.of_kind("exposure")[0].name)
    feedback = arrow_schema(spec, spec.feedback_streams[0].name) if memory.arrived else None
    return replace(
        _with_tasks(_with_domains(memory, old, spec), old, spec),
        segments={name: conformed(rows, exposure) for name, rows in memory.segments.items()},
        arrived=None if feedback is None else conformed(memory.arrived, feedback),
    ).tables()


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
