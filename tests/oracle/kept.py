"""Rules 1 and 9: which candidates of a request are kept as samples."""

from typing import Any

import xxhash

from schemas.spec import Spec
from tests.oracle.state import Arrival, Sample
from tests.oracle.validation import distinct_candidates

Candidate = dict[str, Any]


def kept_samples(spec: Spec, request: Arrival) -> list[Sample]:
    """Rule 1: "a *kept* sample `s` (exposed, or chosen by rule 9)". Rule 9: inclusion
    probability "1 for every other origin"."""
    candidates = distinct_candidates(request.event)
    exposed = [candidate for candidate in candidates if candidate["exposed"]]
    hidden = [candidate for candidate in candidates if not candidate["exposed"]]
    chosen = chosen_by_hash(spec, request, hidden)
    probability = len(chosen) / len(hidden) if hidden else 1.0
    return [
        *(sample(spec, request, candidate, "exposed", 1.0) for candidate in exposed),
        *(sample(spec, request, candidate, "unexposed", probability) for candidate in chosen),
    ]


def chosen_by_hash(spec: Spec, request: Arrival, hidden: list[Candidate]) -> list[Candidate]:
    """Rule 9: "target-domain requests only: of the n unexposed candidates the k with the
    smallest hash of (seed, request id, item id), ties to the lower position"."""
    target = spec.target
    if target is None or spec.domain_of(request.fields["scenario"]) != target.domain:
        return []

    def rank(candidate: Candidate) -> tuple[int, int]:
        parts = (str(target.seed), request.fields["request_id"], candidate["item_id"])
        return xxhash.xxh3_64_intdigest("\0".join(parts).encode()), candidate["position"]

    return sorted(hidden, key=rank)[: target.unexposed]


def sample(
    spec: Spec, request: Arrival, candidate: Candidate, origin: str, probability: float
) -> Sample:
    """A native sample, shown by the window of its request."""
    window_start_ms = spec.window.start(request.time_ms)
    return Sample(
        request=request,
        candidate=candidate,
        user=request.user,
        request_id=request.fields["request_id"],
        item=candidate["item_id"],
        time_ms=request.time_ms,
        domain=spec.domain_of(request.fields["scenario"]),
        window_start_ms=window_start_ms,
        cut_ms=spec.window.cut(window_start_ms),
        origin=origin,
        probability=probability,
    )
