"""Feature tokens, MDL 3.1.1, equations (2) and (3).

Q requests, N samples, A actions, E width of an embedded vector, F feature tokens, d their width.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models.axes import Axes, Read, features, under, wide
from models.batch import UserBatch
from models.layers.actions import ActionEmbedder, TargetAttention
from models.layers.embedder import FeatureEmbedder, embedded_items
from models.layers.split_linear import SplitLinear
from models.layout import FeatureField, Layout
from models.mdl.config import MdlConfig
from models.mdl.groups import HISTORY, ITEM, RECENT, SCENARIO, USER, FeatureGroup, groups_of
from models.mdl.plan import Plan
from models.mdl.sources import USER_FIELD, request_columns, tables_of

Vectors = Mapping[str, Tensor]
"""Embedded members by name: [Q, E] of a request, [N, E] of a sample."""


class FeatureTokenizer(nn.Module):
    """t_j = Proj_j(e_j), e_j the vectors of group j, concatenated: [N, F, d].

    A sequence has two vectors: the mean of its actions, and what the candidate finds among them.
    Of R, a request sees what is strictly earlier.
    """

    def __init__(
        self, layout: Layout, config: MdlConfig, groups: Sequence[FeatureGroup], width: int
    ) -> None:
        super().__init__()
        dim = config.embedding
        self.user_ids, self.declared = config.user_ids, config.groups
        self.groups = tuple(groups)
        self.request_names, self.sample_names = _request_names(layout), _sample_names(layout)
        self.tables = tables_of(layout, config)
        self.request = FeatureEmbedder((USER_FIELD, *layout.request), dim)
        self.candidate = FeatureEmbedder(layout.candidate, dim)
        self.scenario = nn.Embedding(len(layout.scenarios), dim)
        self.action = ActionEmbedder(layout, dim)
        of_candidate = dim + self.candidate.width
        self.history = TargetAttention(of_candidate, dim)
        self.recent = TargetAttention(of_candidate, dim)
        self.projections = nn.ModuleDict(
            {
                _key(group): SplitLinear(
                    dim * len(_members(group, self.request_names)),
                    dim * len(_members(group, self.sample_names)),
                    width,
                )
                for group in groups
            }
        )

    def forward(self, batch: UserBatch, plan: Plan) -> Tensor:
        history, recent = (self.action(self.tables, one) for one in (batch.history, batch.recent))
        of_request = self._of_requests(batch, plan, history, recent)
        of_sample = self._of_samples(batch, plan, history, recent)
        tokens = [
            project(_joined(of_request, group), _joined(of_sample, group), plan.sample_request)
            for group, project in zip(self.groups, self.projections.values(), strict=True)
        ]
        return torch.stack(tokens, dim=1)

    def axes(self, layout: Layout) -> Axes:
        """What the axes of parameters stand for."""
        request, sample = _request_names(layout), _sample_names(layout)
        dim = self.scenario.embedding_dim
        candidate = Read(wide([ITEM, *features(layout.candidate)], dim))
        axes = {
            "scenario.weight": (layout.scenarios, None),
            **under("action", self.action.axes(layout.actions)),
            **under("history", self.history.axes(candidate)),
            **under("recent", self.recent.axes(candidate)),
        }
        for group in groups_of(layout, self.declared):
            of_request = [("request", name) for name in _members(group, request)]
            of_sample = [("sample", name) for name in _members(group, sample)]
            into = Read(wide([*of_request, *of_sample], dim))
            axes[f"projections.{_key(group)}.weight"] = (None, into)
        return axes

    def _of_requests(
        self, batch: UserBatch, plan: Plan, history_AE: Tensor, recent_AE: Tensor
    ) -> Vectors:
        history = plan.history.every.mean(history_AE)
        vectors = (
            *self.request(self.tables, request_columns(batch, self.user_ids)),
            self.scenario(plan.scenario),
            history.index_select(0, plan.request_user),
            plan.recent.every.mean(recent_AE),
        )
        return dict(zip(self.request_names, vectors, strict=True))

    def _of_samples(
        self, batch: UserBatch, plan: Plan, history_AE: Tensor, recent_AE: Tensor
    ) -> Vectors:
        candidate = (
            embedded_items(self.tables, batch.item),
            *self.candidate(self.tables, batch.sample_features),
        )
        x_NI = torch.cat(candidate, dim=1)
        h, r = plan.history, plan.recent
        history = self.history(x_NI, history_AE, plan.target, h.places, h.sees)
        recent = self.recent(x_NI, recent_AE, plan.target, r.places, r.sees)
        return dict(zip(self.sample_names, (*candidate, history, recent), strict=True))


def _request_names(layout: Layout) -> tuple[str, ...]:
    return (USER, *_names(layout.request), SCENARIO, HISTORY, RECENT)


def _sample_names(layout: Layout) -> tuple[str, ...]:
    return (ITEM, *_names(layout.candidate), HISTORY, RECENT)


def _names(fields: Sequence[FeatureField]) -> tuple[str, ...]:
    return tuple(field.name for field in fields)


def _members(group: FeatureGroup, names: Sequence[str]) -> list[str]:
    return [name for name in group.members if name in names]


def _joined(vectors: Vectors, group: FeatureGroup) -> Tensor | None:
    """e_j's part of one level, None if it has none."""
    members = _members(group, tuple(vectors))
    return torch.cat([vectors[name] for name in members], dim=1) if members else None


def _key(group: FeatureGroup) -> str:
    # The prefix keeps names such as "items" apart from ModuleDict's own attributes.
    return f"group_{group.name}"
