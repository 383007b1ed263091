"""Heterogeneous tokenization, MTFM 3.2.1, equations (3) to (5)."""

from collections.abc import Hashable
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.axes import features, wide
from models.batch import Actions, UserBatch
from models.layers.embedder import FeatureEmbedder, embedded_items
from models.layers.grouped import GroupedMlp
from models.layout import Layout
from models.mtfm.config import MtfmConfig
from models.mtfm.plan import TokenPlan
from models.tables import tables_for


class Tokenizer(nn.Module):
    """The initial embedding matrix X⁽⁰⁾ = (H; R; T), [L, d_model], and what T was made of.

        h_ij = MLP_i(Emb(h_ij))                             i = stream; R has MLPs of its own  (3)
        t_i^s = MLP_s(Emb(U^s) ∥ Emb(C_i^s) ∥ Emb(I_i^s))   s = scenario                       (4)

    U are the request's features, shared by its samples; C and I the candidate's and its item.
    Actions have tables of their own, whose rows count `sequence_scale` times: as a step of
    Adagrad does not depend on the gradient's scale, their embeddings move that much slower.
    """

    def __init__(self, layout: Layout, config: MtfmConfig) -> None:
        super().__init__()
        dim, hidden, width = config.embedding, config.tokenizer_width, config.d_model
        self.dim = dim
        self.action = FeatureEmbedder(layout.action, dim)
        self.request = FeatureEmbedder(layout.request, dim)
        self.candidate = FeatureEmbedder(layout.candidate, dim)
        of_action = dim + self.action.width
        self.sample_width = dim + self.request.width + self.candidate.width
        self.scale = config.sequence_scale
        self.samples = tables_for(replace(layout, action=()), config.tables, dim)
        of_actions = replace(layout, request=(), candidate=())
        self.actions = tables_for(of_actions, config.tables, dim)
        self.streams = GroupedMlp(2 * len(layout.actions), of_action, hidden, width)
        self.scenarios = GroupedMlp(
            len(layout.scenarios), self.sample_width, hidden, width, alike=True
        )

    def forward(self, batch: UserBatch, plan: TokenPlan) -> tuple[Tensor, Tensor]:
        """X⁽⁰⁾ and Emb(U) ∥ Emb(C) ∥ Emb(I), [L_T, sample_width]."""
        actions = torch.cat((self._actions(batch.history), self._actions(batch.recent)))
        samples = self._samples(batch, plan)
        h_and_r = self.streams(actions, plan.by_stream)
        return torch.cat((h_and_r, self.scenarios(samples, plan.by_scenario))), samples

    def action_labels(self, layout: Layout) -> list[Hashable]:
        """What the places of an embedded action stand for."""
        return wide(["item", *features(layout.action)], self.dim)

    def sample_labels(self, layout: Layout) -> list[Hashable]:
        """What the places of Emb(U) ∥ Emb(C) ∥ Emb(I) stand for."""
        declared = features((*layout.request, *layout.candidate))
        return wide([*declared, "item"], self.dim)

    def _actions(self, actions: Actions) -> Tensor:
        item = embedded_items(self.actions, actions.item)
        return self.scale * torch.cat([item, *self.action(self.actions, actions.features)], dim=1)

    def _samples(self, batch: UserBatch, plan: TokenPlan) -> Tensor:
        user = self.request(self.samples, batch.request_features)
        user = [one.index_select(0, plan.sample_request) for one in user]
        candidate = self.candidate(self.samples, batch.sample_features)
        return torch.cat([*user, *candidate, embedded_items(self.samples, batch.item)], dim=1)
