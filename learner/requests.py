"""From requests as a server knows them to the models' batch: raw ids, hashed as the pipeline does.

A request is a mapping:

    user        string
    scenario    string, one of the spec's
    time_ms     integer
    features    {name: value} of user, context and query
    history     [{time_ms, item, action, scenario, …}], the carried item features beside;
                scenario may be absent
    recent      the same; what is not before time_ms is not seen
    candidates  [{item, …}], features of item and cross beside

An id is a string, or an integer that is a hash already; what is absent or null is missing, unless
the spec has a default.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from learner.batches import action_index, ints, logged_in, scenario_index
from models.batch import Actions, Column, IdLists, Ids, Numbers, UserBatch
from models.layout import FeatureField, Layout
from schemas.hashing import hash_one
from schemas.spec import Spec

Request = Mapping[str, Any]


def request_batch(requests: Sequence[Request], spec: Spec, layout: Layout) -> UserBatch:
    """One user and one request each; labels are absent.

    Raises UserError for an unknown scenario or action.
    """
    candidates = [candidate for request in requests for candidate in request["candidates"]]
    n, k = len(candidates), len(layout.tasks)
    scenario = scenario_index(pa.array([r["scenario"] for r in requests]), layout.scenarios)
    domain = _domain(scenario, spec, layout)
    asked = torch.zeros(len(requests))
    return UserBatch(
        user=_ids([request["user"] for request in requests]),
        history=_actions(requests, "history", spec, layout),
        recent=_actions(requests, "recent", spec, layout),
        request_offsets=torch.arange(len(requests) + 1),
        request_time_ms=torch.tensor([int(r["time_ms"]) for r in requests], dtype=torch.int64),
        scenario=scenario,
        domain=domain,
        origin_domain=domain,
        query_path=torch.full((len(requests),), -1),
        query_score=Numbers(asked, asked.bool()),
        request_features=_columns(
            layout.request, [r.get("features") or {} for r in requests], spec
        ),
        sample_offsets=_offsets([len(request["candidates"]) for request in requests]),
        item=_ids([candidate["item"] for candidate in candidates]),
        position=torch.zeros(n, dtype=torch.int64),
        origin=torch.zeros(n, dtype=torch.int64),
        probability=torch.ones(n),
        sample_features=_columns(layout.candidate, candidates, spec),
        labels=torch.zeros(n, k),
        label_present=torch.zeros(n, k, dtype=torch.bool),
    )


def _domain(scenario: Tensor, spec: Spec, layout: Layout) -> Tensor:
    """The domain's index of each scenario's."""
    domains = [layout.domains.index(spec.domain_of(name)) for name in layout.scenarios]
    return torch.tensor(domains)[scenario]


def example_request(spec: Spec) -> dict[str, Any]:
    """A request of the right form, for signatures and manuals."""
    carried = {name: _example(spec, name) for name in spec.sequences.features}
    action = {"time_ms": 1, "item": "item-1", "action": spec.sequences.streams[0], **carried}
    own = {f.name: _example(spec, f.name) for f in spec.owned_by("item", "cross")}
    around = {f.name: _example(spec, f.name) for f in spec.owned_by("user", "context", "query")}
    return {
        "user": "user-1",
        "scenario": spec.scenarios[0],
        "time_ms": 2,
        "features": around,
        "history": [action],
        "recent": [],
        "candidates": [{"item": "item-1", **own}, {"item": "item-2"}],
    }


def _example(spec: Spec, name: str) -> Any:
    feature = spec.features[name]
    word = feature.vocabulary[0] if feature.vocabulary else f"{name}-1"
    return {"id": word, "ids": [word], "number": 1.0}[feature.type]


def _actions(requests: Sequence[Request], name: str, spec: Spec, layout: Layout) -> Actions:
    sequences = [request.get(name) or [] for request in requests]
    actions = [action for sequence in sequences for action in sequence]
    streams = np.array([_id(action["action"]) for action in actions], dtype=np.int64)
    places = np.array([_id(action.get("scenario") or 0) for action in actions], dtype=np.int64)
    return Actions(
        offsets=_offsets([len(sequence) for sequence in sequences]),
        time_ms=torch.tensor([int(action["time_ms"]) for action in actions], dtype=torch.int64),
        item=_ids([action["item"] for action in actions]),
        action=action_index(streams, layout),
        scenario=logged_in(places, layout),
        features=_columns(layout.action, actions, spec),
    )


def _columns(
    fields: Sequence[FeatureField], rows: Sequence[Mapping[str, Any]], spec: Spec
) -> dict[str, Column]:
    return {f.name: _column(f, [_value(row, f.name, spec) for row in rows]) for f in fields}


def _value(row: Mapping[str, Any], name: str, spec: Spec) -> Any:
    value = row.get(name)
    return spec.features[name].default if value is None else value


def _column(field: FeatureField, values: Sequence[Any]) -> Column:
    if field.type == "ids":
        lists = [value or [] for value in values]
        return IdLists(
            _ids([word for words in lists for word in words]),
            _offsets([len(words) for words in lists]),
        )
    present = torch.tensor([value is not None for value in values], dtype=torch.bool)
    if field.type == "number":
        numbers = [0.0 if value is None else float(value) for value in values]
        return Numbers(torch.tensor(numbers, dtype=torch.float32), present)
    return Ids(_ids([0 if value is None else value for value in values]), present)


def _ids(values: Sequence[str | int]) -> Tensor:
    return ints(np.array([_id(value) for value in values], dtype=np.int64))


def _id(value: str | int) -> int:
    return value if isinstance(value, int) else hash_one(value)


def _offsets(lengths: Sequence[int]) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int64)
