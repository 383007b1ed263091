"""The requests and samples that a window shows, with all that was logged of them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.arrays import Bools, Ints
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.encode import encode_known
from pipelines.steps.ragged import offsets_of
from schemas.spec import Feature, Spec

_KEPT_OF_REQUESTS = ("request_id", "user_id", "time_ms", "candidates")
_KEPT_OF_SAMPLES = ("item_id", "exposed")
"""Columns of what was logged that the memory has of its own."""


@dataclass(frozen=True)
class Shown:
    """Which samples each of some requests shows, request after request.

    `counts` is per request. `labelled` are the samples whose labels are shown, -1 where there is
    none to show; `origin` is a code of `schemas.labels`.
    """

    samples: Ints
    counts: Ints
    labelled: Ints
    origin: npt.NDArray[np.int32]

    @property
    def offsets(self) -> pa.Array:
        """List offsets, int32 [requests + 1]."""
        return pa.array(offsets_of(self.counts).astype(np.int32))


@dataclass(frozen=True)
class Chosen:
    """Requests in final order, the samples they show, and what was logged of both.

    Nested payloads are gathered here, once, straight into their final order.
    """

    requests: Ints
    shown: Shown
    logged: pa.Table
    candidates: pa.Table

    @classmethod
    def of(cls, memory: Memory, requests: Ints, shown: Shown) -> "Chosen":
        """Gather what was logged, out of the segments that hold it."""
        segment = memory.requests.segment[requests]
        used = np.unique(segment)
        tables = [memory.segments[int(one)] for one in used]
        children = [_children(table) for table in tables]
        at = np.searchsorted(used, segment)
        rows = offsets_of(np.array([table.num_rows for table in tables]))[at]
        bases = offsets_of(np.array([table.num_rows for table in children]))[at]
        logged = pa.concat_tables([_without(table, _KEPT_OF_REQUESTS) for table in tables])
        row = pa.array(rows + memory.requests.row[requests])
        child = pa.array(np.repeat(bases, shown.counts) + memory.samples.child[shown.samples])
        return cls(requests, shown, logged.take(row), pa.concat_tables(children).take(child))


def _children(segment: pa.Table) -> pa.Table:
    flat = [chunk.flatten() for chunk in segment["candidates"].chunks]
    batches = [pa.RecordBatch.from_struct_array(chunk) for chunk in flat]
    return _without(pa.Table.from_batches(batches), _KEPT_OF_SAMPLES)


def _without(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    return table.select([name for name in table.column_names if name not in names])


@dataclass(frozen=True)
class Known:
    """Which features a request's domain logs; of pseudo ones those that the target has, too."""

    spec: Spec
    domain: Ints
    pseudo: Bools

    @classmethod
    def of(cls, memory: Memory, chosen: Chosen, rules: Rules) -> "Known":
        """The domains of the chosen requests."""
        rows = memory.requests
        domain = rules.domain_of(rows.scenario[chosen.requests])
        return cls(rules.spec, domain, rows.pseudo[chosen.requests])

    def repeated(self, counts: Ints) -> "Known":
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
