"""The records of requests: native ones, and those that rule 10 made of foreign clicks."""

from collections.abc import Callable
from typing import Any

from schemas.hashing import hash_one
from schemas.labels import ORIGIN_CODES, QUERY_PATH_CODES, TIER_CODES
from schemas.spec import Feature, Spec
from tests.oracle.catalogue import similarity_of_texts, title_before
from tests.oracle.features import aligned, missing, shown
from tests.oracle.state import Arrival, Label, PseudoRequest, Sample, State


def native_request(state: State, request: Arrival) -> dict[str, Any]:
    """Where there are pseudo-requests, native ones have no source and no path."""
    fields = request.fields
    domain = state.spec.domain_of(fields["scenario"])
    samples = [sample for sample in state.samples if sample.request is request]
    return {
        "id": fields["request_id"],
        "time_ms": request.time_ms,
        "scenario": fields["scenario"],
        "domain": domain,
        "origin_domain": domain,
        "query": fields.get("query"),
        **searchified(state.spec, None, None, None),
        **{f.name: shown(f, domain, fields) for f in of_request(state.spec)},
        "candidates": candidate_arrays(
            state,
            samples,
            lambda feature, sample: shown(feature, domain, sample.candidate),
        ),
    }


def pseudo_request(state: State, pseudo: PseudoRequest) -> dict[str, Any]:
    """Rule 10: "scenario and positions as in the source; domain = target; origin domain kept";
    "Path and score are kept"."""
    fields, positive = pseudo.source.fields, pseudo.positive
    origin, target = state.spec.domain_of(fields["scenario"]), positive.domain
    path = QUERY_PATH_CODES[pseudo.query.path]
    return {
        "id": positive.request_id,
        "time_ms": positive.time_ms,
        "scenario": fields["scenario"],
        "domain": target,
        "origin_domain": origin,
        "query": pseudo.query.text,
        **searchified(state.spec, fields["request_id"], path, pseudo.query.score),
        **{f.name: aligned(f, origin, target, fields) for f in of_request(state.spec)},
        "candidates": candidate_arrays(
            state,
            pseudo.samples,
            lambda feature, sample: pseudo_feature(state, pseudo, feature, sample),
        ),
    }


def pseudo_feature(state: State, pseudo: PseudoRequest, feature: Feature, sample: Sample) -> Any:
    """A cross feature with a recipe is computed again; others are the source candidate's."""
    origin = state.spec.domain_of(pseudo.source.fields["scenario"])
    if feature.recipe is None:
        return aligned(feature, origin, sample.domain, sample.candidate)
    if not feature.is_logged_in(sample.domain):
        return missing(feature)
    title = title_before(state, sample.item, sample.time_ms)
    return similarity_of_texts(state, pseudo.query.text, title)


def of_request(spec: Spec) -> tuple[Feature, ...]:
    return spec.owned_by("user", "context", "query")


def searchified(
    spec: Spec, source: str | None, path: int | None, score: float | None
) -> dict[str, Any]:
    if spec.target is None or spec.target.searchify is None:
        return {}
    return {"source_request": source, "query_path": path, "query_score": score}


def candidate_arrays(
    state: State, samples: list[Sample], value: Callable[[Feature, Sample], Any]
) -> dict[str, Any]:
    """Rule 12: "candidates by position"."""
    kept = sorted(samples, key=lambda sample: sample.candidate["position"])
    return {
        "item": [hash_one(sample.item) for sample in kept],
        "item_id": [sample.item for sample in kept],
        "origin": [ORIGIN_CODES[sample.origin] for sample in kept],
        "position": [sample.candidate["position"] for sample in kept],
        "probability": [sample.probability for sample in kept],
        **{
            feature.name: [value(feature, sample) for sample in kept]
            for feature in state.spec.owned_by("item", "cross")
        },
        "labels": {
            task: label_struct([state.published[sample, task] for sample in kept])
            for task in state.spec.tasks
        },
    }


def label_struct(labels: list[Label]) -> dict[str, list[Any]]:
    return {
        "value": [one.value for one in labels],
        "tier": [None if one.tier is None else TIER_CODES[one.tier] for one in labels],
        "event_id": [one.event_id for one in labels],
        "time_ms": [one.time_ms for one in labels],
        "open": [one.open for one in labels],
    }
