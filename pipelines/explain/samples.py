"""The samples of one item that a user's requests keep: rules 1 and 9."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.explain.events import Candidate, Request
from pipelines.explain.settle import Settled
from schemas.hashing import hash_one
from schemas.spec import Spec, Task


@dataclass(frozen=True, eq=False)
class Sample:
    """A kept candidate. Of a request made of a click, `request` is the source."""

    request: Request
    request_id: str
    time_ms: int
    cut_ms: int
    domain: str
    origin: str
    position: int
    probability: float = 1.0

    def closes_ms(self, task: Task) -> int:
        """Rule 6: from here on the label never changes."""
        return self.time_ms + task.horizon_ms + task.retraction_horizon_ms

    def is_within(self, time_ms: int, horizon_ms: int) -> bool:
        """Rule 1: `t_s ≤ t_e ≤ t_s + horizon`."""
        return self.time_ms <= time_ms <= self.time_ms + horizon_ms


def latest(samples: Iterable[Sample]) -> Sample:
    """The latest request time; ties go to the smaller request id."""
    return min(samples, key=lambda sample: (-sample.time_ms, sample.request_id.encode()))


def native_samples(requests: Iterable[Settled[Request]], item: str, spec: Spec) -> list[Sample]:
    """The item's kept candidates, at most one a request, by time."""
    found = (_sample(one.event, item, spec) for one in requests)
    return sorted((s for s in found if s is not None), key=lambda s: (s.time_ms, s.request_id))


def _sample(request: Request, item: str, spec: Spec) -> Sample | None:
    kept = next((one for one in distinct(request) if one.item == item), None)
    if kept is None:
        return None
    probability = 1.0 if kept.exposed else _chance(request, kept, spec)
    if not probability:
        return None
    return Sample(
        request=request,
        request_id=request.request_id,
        time_ms=request.time_ms,
        cut_ms=spec.window.cut(spec.window.start(request.time_ms)),
        domain=spec.domain_of(request.scenario),
        origin="exposed" if kept.exposed else "unexposed",
        position=kept.position,
        probability=probability,
    )


def distinct(request: Request) -> list[Candidate]:
    """Each item once: exposed at its lowest position, else at its lowest."""
    kept: dict[str, Candidate] = {}
    for one in sorted(request.candidates, key=lambda c: (not c.exposed, c.position)):
        kept.setdefault(one.item, one)
    return list(kept.values())


def _chance(request: Request, candidate: Candidate, spec: Spec) -> float:
    """Rule 9: the inclusion probability of an unexposed candidate; 0 if it was not drawn."""
    target = spec.target
    if target is None or spec.domain_of(request.scenario) != target.domain:
        return 0.0
    hidden = [one for one in distinct(request) if not one.exposed]
    seed = str(target.seed)
    rank = {one: hash_one(seed, request.request_id, one.item) % 2**64 for one in hidden}
    drawn = sorted(hidden, key=lambda one: (rank[one], one.position))[: target.unexposed]
    return min(1.0, target.unexposed / len(hidden)) if candidate in drawn else 0.0
