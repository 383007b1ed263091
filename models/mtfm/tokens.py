"""Heterogeneous tokenization, MTFM 3.2.1, equations (3) to (5)."""

import torch
from torch import Tensor, nn

from models.batch import Actions, UserBatch
from models.layers.embedder import FeatureEmbedder, embedded_items
from models.layers.grouped import GroupedMlp
from models.layout import Layout
from models.mtfm.config import MtfmConfig
from models.mtfm.plan import TokenPlan
from models.tables import Tables


class Tokenizer(nn.Module):
    """The initial embedding matrix X⁽⁰⁾ = (H; R; T), [L, d_model].

        h_ij = MLP_i(Emb(h_ij))                             i = stream; R has MLPs of its own  (3)
        t_i^s = MLP_s(Emb(U^s) ∥ Emb(C_i^s) ∥ Emb(I_i^s))   s = scenario                       (4)

    U are the request's features, shared by its samples; C and I the candidate's and its item.
    """

    def __init__(self, layout: Layout, config: MtfmConfig) -> None:
        super().__init__()
        dim, hidden, width = config.embedding, config.tokenizer_width, config.d_model
        self.action = FeatureEmbedder(layout.action, dim)
        self.request = FeatureEmbedder(layout.request, dim)
        self.candidate = FeatureEmbedder(layout.candidate, dim)
        of_action = dim + self.action.width
        of_sample = dim + self.request.width + self.candidate.width
        self.streams = GroupedMlp(2 * len(layout.actions), of_action, hidden, width)
        self.scenarios = GroupedMlp(len(layout.scenarios), of_sample, hidden, width)

    def forward(self, tables: Tables, batch: UserBatch, plan: TokenPlan) -> Tensor:
        history, recent = self._actions(tables, batch.history), self._actions(tables, batch.recent)
        h_and_r = self.streams(torch.cat((history, recent)), plan.by_stream)
        t = self.scenarios(self._samples(tables, batch), plan.by_scenario)
        return torch.cat((h_and_r, t))

    def _actions(self, tables: Tables, actions: Actions) -> Tensor:
        item = embedded_items(tables, actions.item)
        return torch.cat([item, *self.action(tables, actions.features)], dim=1)

    def _samples(self, tables: Tables, batch: UserBatch) -> Tensor:
        user = self.request(tables, batch.request_features)
        user = [one.index_select(0, batch.sample_request) for one in user]
        item = embedded_items(tables, batch.item)
        return torch.cat([*user, *self.candidate(tables, batch.sample_features), item], dim=1)
