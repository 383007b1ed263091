"""Scenario and task tokens, which prompt the feature tokens: MDL 3.1.2, equation (4).

B users, Q requests, N samples, A actions, E width of an embedded vector, S scenarios, K tasks,
P (request, scenario token) pairs, M (sample, scenario token) rows, h hidden width, d width of a
token.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.axes import Axes, Labels, under, wide
from models.batch import UserBatch
from models.layers.actions import ActionEmbedder
from models.layers.embedder import FeatureEmbedder, embedded_items
from models.layers.grouped import GroupedLinear
from models.layers.per_token import PerTokenLinear
from models.layers.pooling import Runs
from models.layout import Layout
from models.mdl.config import MdlConfig
from models.mdl.plan import Plan
from models.mdl.selection import Selection
from models.mdl.sources import USER_FIELD, important_fields, request_columns, tables_of


class PromptTokenizer(nn.Module):
    """t = ReLU(FFN_t(ê_imp ⊕ ê_spec)) of embeddings of its own: rows [M, d], tasks [N, K, d].

    ê_imp: the ids of user and item, and the features that the configuration names. ê_spec: the
    means of H and of the strictly earlier R, over the actions in the token's scenario or of the
    task's stream; over all actions for the global token and for a task whose stream sequences do
    not carry.
    """

    task_stream: Tensor

    def __init__(self, layout: Layout, config: MdlConfig, width: int) -> None:
        super().__init__()
        dim = config.embedding
        self.user_ids = config.user_ids
        important = important_fields(layout, config.important)
        self.tables = tables_of(important, config)
        self.request = FeatureEmbedder((USER_FIELD, *important.request), dim)
        self.candidate = FeatureEmbedder(important.candidate, dim)
        self.action = ActionEmbedder(layout, dim)
        self.n_scenarios, self.n_streams = len(layout.scenarios), len(layout.actions)
        self.register_buffer("task_stream", _task_streams(layout), persistent=False)
        of_request, of_sample = self.request.width + 2 * dim, dim + self.candidate.width
        sizes = (of_request, of_sample, config.tokenizer_width, width)
        self.scenarios = ScenarioFfn(self.n_scenarios + 1, *sizes)
        self.tasks = TaskFfn(len(layout.tasks), *sizes)

    def forward(self, batch: UserBatch, plan: Plan) -> tuple[Tensor, Tensor]:
        history, recent = (self.action(self.tables, one) for one in (batch.history, batch.recent))
        by_scenario = _specific(
            plan,
            _means(history, plan.history.every, plan.history.by_scenario, self.n_scenarios),
            _means(recent, plan.recent.every, plan.recent.by_scenario, self.n_scenarios),
        )
        by_stream = _specific(
            plan,
            _means(history, plan.history.every, plan.history.by_stream, self.n_streams),
            _means(recent, plan.recent.every, plan.recent.by_stream, self.n_streams),
        )
        user = self.request(self.tables, request_columns(batch, self.user_ids))
        candidate = self.candidate(self.tables, batch.sample_features)
        of_user = torch.cat(user, dim=1)
        of_item = torch.cat([embedded_items(self.tables, batch.item), *candidate], dim=1)
        return (
            self.scenarios(of_user, by_scenario, of_item, plan.selection),
            self.tasks(of_user, by_stream[:, self.task_stream], of_item, plan.sample_request),
        )

    def axes(self, layout: Layout) -> Axes:
        """What the axes of parameters stand for."""
        return {
            **under("action", self.action.axes(layout.actions)),
            **under("scenarios", self.scenarios.axes(scenario_labels(layout))),
            **under("tasks", self.tasks.axes(layout.tasks)),
        }


def scenario_labels(layout: Layout) -> Labels:
    """What scenario tokens stand for; the last one is the global one."""
    return (*layout.scenarios, None)


class ScenarioFfn(nn.Module):
    """(4) for the scenario tokens that samples have; what does not change within a request once.

    All tokens start alike: that of a small scenario starts from what all have in common.
    """

    def __init__(self, tokens: int, of_request: int, of_sample: int, hidden: int, d: int) -> None:
        super().__init__()
        self.of_request = GroupedLinear(tokens, of_request, hidden, alike=True)
        self.of_sample = GroupedLinear(tokens, of_sample, hidden, alike=True, bias=False)
        self.second = GroupedLinear(tokens, hidden, d, alike=True)

    def forward(
        self, user_QI: Tensor, specific_QTE: Tensor, item_NI: Tensor, selection: Selection
    ) -> Tensor:
        """Rows [M, d]."""
        request, token = selection.pair_request, selection.pair_token
        x_PI = torch.cat((user_QI.index_select(0, request), specific_QTE[request, token]), dim=1)
        h_Ph = self.of_request(x_PI, selection.pair_counts)
        x_MI = item_NI.index_select(0, selection.row_sample)
        h_Mh = self.of_sample(x_MI, selection.row_counts) + h_Ph[selection.row_pair]
        return functional.relu(self.second(functional.silu(h_Mh), selection.row_counts))

    def axes(self, tokens: Labels) -> Axes:
        """Of the tokens."""
        return {
            **under("of_request", self.of_request.axes(tokens)),
            **under("of_sample", self.of_sample.axes(tokens)),
            **under("second", self.second.axes(tokens)),
        }


class TaskFfn(nn.Module):
    """(4) for the task tokens; what does not change within a request once."""

    def __init__(self, tokens: int, of_request: int, of_sample: int, hidden: int, d: int) -> None:
        super().__init__()
        self.shape = (tokens, hidden)
        self.of_request = PerTokenLinear(tokens, of_request, hidden)
        self.of_sample = nn.Linear(of_sample, tokens * hidden, bias=False)
        self.second = PerTokenLinear(tokens, hidden, d)

    def forward(
        self, user_QI: Tensor, specific_QKE: Tensor, item_NI: Tensor, sample_request: Tensor
    ) -> Tensor:
        """Task tokens [N, K, d]."""
        user_QKI = user_QI[:, None].expand(-1, specific_QKE.shape[1], -1)
        h_QKh = self.of_request(torch.cat((user_QKI, specific_QKE), dim=2))
        h_NKh = self.of_sample(item_NI).view(-1, *self.shape)
        h_NKh = h_NKh + h_QKh.index_select(0, sample_request)
        return functional.relu(self.second(functional.silu(h_NKh)))

    def axes(self, tasks: Sequence[str]) -> Axes:
        """Of the tasks."""
        return {
            **under("of_request", self.of_request.axes(tasks)),
            "of_sample.weight": (wide(tasks, self.shape[1]), None),
            **under("second", self.second.axes(tasks)),
        }


def _specific(plan: Plan, history_BGE: Tensor, recent_QGE: Tensor) -> Tensor:
    """ê_spec: the means of H and of R, [Q, G + 1, 2 E]."""
    return torch.cat((history_BGE.index_select(0, plan.request_user), recent_QGE), dim=2)


def _means(x_AE: Tensor, every: Runs, by_group: Runs, n_groups: int) -> Tensor:
    """The means of each run by group, and last over all its actions, [n, G + 1, E]."""
    means = by_group.mean(x_AE).view(every.counts.numel(), n_groups, x_AE.shape[1])
    return torch.cat((means, every.mean(x_AE)[:, None]), dim=1)


def _task_streams(layout: Layout) -> Tensor:
    """The place of each task's stream among the means by stream; the last if it has none."""
    places = {stream: place for place, stream in enumerate(layout.actions)}
    return torch.tensor(
        [len(places) if stream is None else places[stream] for stream in layout.task_actions]
    )
