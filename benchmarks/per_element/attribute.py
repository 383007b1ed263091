"""Step 1: the events of one user → sealed requests, settled actions, revisions, counts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam

from benchmarks.per_element.credit import credit
from benchmarks.per_element.events import DEAD_LETTERS, Event, Fields, dead_letter
from benchmarks.per_element.labels import labels_of, revisions
from benchmarks.per_element.user import Feedback, Request, user_of
from schemas.hashing import hash_one
from schemas.labels import TIERS
from schemas.spec import Feature, Spec

REQUEST, ACTION = "request", "action"
REVISIONS, COUNTS = "revisions", "counts"


class Attribute(beam.DoFn):
    """One element for each request and action of a user; the rest is tagged."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def process(self, element: tuple[str, Iterable[Event]]) -> Iterator[Any]:
        user_id, events = element
        user = user_of(events, self.spec)
        credit(user, self.spec)
        for request in user.requests:
            sealed = _sealed(request, self.spec)
            _count_labels(sealed["candidates"]["labels"], user.counts)
            yield user_id, REQUEST, sealed
        for event in user.feedback:
            if event.stream in self.spec.sequences.streams:
                yield user_id, ACTION, _action(event, self.spec)
        for revision in revisions(user_id, user, self.spec):
            user.counts["revisions"] += 1
            yield beam.pvalue.TaggedOutput(REVISIONS, revision)
        for retraction in user.unmatched:
            yield beam.pvalue.TaggedOutput(DEAD_LETTERS, dead_letter(retraction, "unmatched"))
        for count in user.counts.items():
            yield beam.pvalue.TaggedOutput(COUNTS, count)


def _count_labels(labels: Mapping[str, Fields], counts: Counter[str]) -> None:
    """What a window's manifest counts: labels by task and tier."""
    for task, columns in labels.items():
        for tier in columns["tier"]:
            counts[f"label/{task}/{'none' if tier is None else TIERS[tier]}"] += 1


def _sealed(request: Request, spec: Spec) -> Fields:
    """A request as its window shows it."""
    fields, logged = request.fields, spec.owned_by("user", "context", "query")
    return {
        "id": fields["request_id"],
        "time_ms": request.time_ms,
        "scenario": fields["scenario"],
        "domain": request.domain,
        "origin_domain": request.domain,
        "query": fields["query"],
        **{feature.name: _feature(feature, fields) for feature in logged},
        "candidates": _candidates(request, spec),
    }


def _candidates(request: Request, spec: Spec) -> Fields:
    rows = [sample.fields for sample in request.samples]
    features = spec.owned_by("item", "cross")
    return {
        "item": [hash_one(row["item_id"]) for row in rows],
        "item_id": [row["item_id"] for row in rows],
        "origin": [0] * len(rows),
        "position": [row["position"] for row in rows],
        "probability": [1.0] * len(rows),
        **{feature.name: [_feature(feature, row) for row in rows] for feature in features},
        "labels": {task.name: labels_of(request, task) for task in spec.tasks.values()},
    }


def _action(event: Feedback, spec: Spec) -> Fields:
    """What sequences carry of an action, and by what they order it."""
    fields, carried = event.fields, [spec.features[name] for name in spec.sequences.features]
    return {
        "stream": event.stream,
        "event_id": fields["event_id"],
        "time_ms": event.time_ms,
        "item": hash_one(fields["item_id"]),
        "action": hash_one(event.stream),
        "scenario": _hashed(fields["scenario"]),
        **{feature.name: _feature(feature, fields) for feature in carried},
    }


def _feature(feature: Feature, fields: Fields) -> float | int | None:
    value = fields[feature.name]
    return _hashed(value) if feature.type == "id" else value


def _hashed(text: str | None) -> int | None:
    return None if text is None else hash_one(text)
