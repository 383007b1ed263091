"""From packed user windows to the models' batch: no dictionaries, no loop over samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from models.batch import Actions, Column, IdLists, Ids, Numbers, UserBatch
from models.layout import FeatureField, Layout
from schemas.errors import UserError
from schemas.spec.table import near_match
from schemas.windows.flat import Lists, Values
from schemas.windows.packed import PackedLabels, PackedSequence, PackedUsers

REMEDY = "Name the spec that these windows were built with."


def user_batch(packed: PackedUsers, layout: Layout) -> UserBatch:
    """The batch of some users of one window.

    A label is 1 where the task's value is above 0: what a model predicts is whether there was
    feedback. Raises UserError for a scenario or an action that the layout does not name.
    """
    requests, samples = packed.requests, packed.samples
    labels, present = _labels(samples.labels, layout)
    return UserBatch(
        user=ints(packed.user),
        history=_actions(packed.history, layout),
        recent=_actions(packed.recent, layout),
        request_offsets=ints(requests.offsets),
        request_time_ms=ints(requests.time_ms),
        scenario=scenario_index(requests.scenario, layout.scenarios),
        domain=domain_index(requests.domain, layout.domains),
        origin_domain=domain_index(requests.origin_domain, layout.domains),
        query_path=_codes(requests.query_path),
        query_score=_numbers(requests.query_score),
        request_features=_columns(layout.request, requests.features),
        sample_offsets=ints(samples.offsets),
        item=ints(samples.item),
        position=ints(samples.position),
        origin=ints(samples.origin),
        probability=_tensor(samples.probability, np.float32),
        sample_features=_columns(layout.candidate, samples.features),
        labels=labels,
        label_present=present,
    )


def scenario_index(names: pa.StringArray, scenarios: Sequence[str]) -> Tensor:
    """Index of each name in `scenarios`, int64 [n]. Raises UserError for an unknown one."""
    return _index(names, scenarios, "scenario")


def domain_index(names: pa.StringArray, domains: Sequence[str]) -> Tensor:
    """Index of each name in `domains`, int64 [n]. Raises UserError for an unknown one."""
    return _index(names, domains, "domain")


def _index(names: pa.StringArray, known: Sequence[str], what: str) -> Tensor:
    index = pc.index_in(names, value_set=pa.array(known, pa.string()))
    if index.null_count:
        unknown = names[index.is_null().index(True).as_py()].as_py()
        raise UserError(
            f"requests.{what}: expected a {what} of the spec, received {unknown!r}"
            f"{near_match(str(unknown), known)}. {REMEDY}"
        )
    return ints(index.to_numpy())


def action_index(hashes: npt.NDArray[np.int64], layout: Layout) -> Tensor:
    """Index of each hash in `layout.actions`, int64 [n]. Raises UserError for an unknown one."""
    index = _places(hashes, layout.action_ids)
    if (index < 0).any():
        unknown = int(hashes[np.argmin(index)])
        raise UserError(
            f"history or recent: expected actions of the spec's sequences.streams "
            f"({', '.join(layout.actions)}), received the hash {unknown}. {REMEDY}"
        )
    return ints(index)


def logged_in(hashes: npt.NDArray[np.int64], layout: Layout) -> Tensor:
    """Index of each hash in `layout.scenarios`, int64 [n]; -1 where it is none of them."""
    return ints(_places(hashes, layout.scenario_ids))


def _places(hashes: npt.NDArray[np.int64], known: Sequence[int]) -> npt.NDArray[np.int64]:
    """Where each hash stands among the known ones, -1 where nowhere."""
    if not known:
        return np.full(len(hashes), -1, dtype=np.int64)
    names = np.array(known, dtype=np.int64)
    order = np.argsort(names)
    index = order[np.searchsorted(names, hashes, sorter=order).clip(max=len(names) - 1)]
    return np.where(names[index] == hashes, index, -1)


def ints(values: npt.NDArray[Any]) -> Tensor:
    """A tensor of its own, int64."""
    return _tensor(values, np.int64)


def _actions(packed: PackedSequence, layout: Layout) -> Actions:
    return Actions(
        offsets=ints(packed.offsets),
        time_ms=ints(packed.time_ms),
        item=ints(packed.item),
        action=action_index(packed.action, layout),
        scenario=logged_in(np.where(packed.scenario.valid, packed.scenario.values, 0), layout),
        features=_columns(layout.action, packed.features),
    )


def _columns(
    fields: Sequence[FeatureField], features: Mapping[str, Values | Lists]
) -> dict[str, Column]:
    return {field.name: _column(field, features[field.name]) for field in fields}


def _column(field: FeatureField, feature: Values | Lists) -> Column:
    if isinstance(feature, Lists):
        return IdLists(ints(feature.values), ints(feature.offsets))
    if field.type == "number":
        return _numbers(feature)
    return Ids(ints(feature.values), _tensor(feature.valid, np.bool_))


def _numbers(values: Values) -> Numbers:
    return Numbers(_tensor(values.values, np.float32), _tensor(values.valid, np.bool_))


def _codes(values: Values) -> Tensor:
    """Codes, -1 where missing, int64 [n]."""
    return ints(np.where(values.valid, values.values, -1))


def _labels(labels: Mapping[str, PackedLabels], layout: Layout) -> tuple[Tensor, Tensor]:
    values = [labels[task].value for task in layout.tasks]
    positive = np.stack([(one.values > 0) & one.valid for one in values], axis=1)
    present = np.stack([one.valid for one in values], axis=1)
    return _tensor(positive, np.float32), _tensor(present, np.bool_)


def _tensor(values: npt.NDArray[Any], dtype: Any) -> Tensor:
    # A copy, for Arrow's buffers are read-only and torch's are not.
    return torch.from_numpy(np.array(values, dtype=dtype))
