"""One block: domain-aware interaction of all tokens, MDL 3.2 and 3.3, equations (5) to (15).

N samples, F feature tokens, K tasks, M (sample, scenario token) rows, R places for the scenario
tokens of a sample, H heads, d width of a token.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.axes import Axes, Labels, under
from models.layers.cross_attention import attention_weights, cross_attention
from models.layers.grouped import GroupedLinear, GroupedMlp
from models.layers.per_token import PerTokenFfn, PerTokenLinear
from models.layers.token_mixing import token_mixing
from models.mdl.selection import Selection


@dataclass(frozen=True)
class Shape:
    """How many tokens of each kind there are, and how wide a block is."""

    features: int
    scenarios: int
    """Without the global one."""
    tasks: int
    width: int
    hidden: int
    """Hidden width of the per-token FFNs."""
    heads: int


@dataclass(frozen=True)
class Tokens:
    """All tokens of a batch's samples."""

    feature: Tensor
    """T_f [N, F, d]."""
    scenario: Tensor
    """T_s [M, d], the selected ones alone."""
    task: Tensor
    """T_t [N, K, d]."""


@dataclass(frozen=True)
class Shares:
    """What each token took of each feature token: the softmax weights of (7) and (8)."""

    task: Tensor
    """[N, H, K, F]."""
    scenario: Tensor
    """[N, H, R, F]; of places left over, anything."""


class MdlBlock(nn.Module):
    """T_f, T_s, T_t → T_f', T_s', T_t'.

        T_f' = PerTokenFFN(LN(TokenMixing(T_f) + T_f))                  (5), (6)
        T̂_s = DomainAwareAttn(T_s, T_f') + T_s                          (8), (11)
        T̂_t = DomainAwareAttn(T_t, T_f') + T_t                          (7), (13)
        T̃_t = T̂_t + Mean(T̂_s of the sample's scenarios, T̂_s,global)     (9), (10), (14)
        T_s' = PerTokenFFN(T̂_s) + T̂_s                                   (12)
        T_t' = PerTokenFFN(T̃_t) + T̃_t                                   (15)

    The last block has no (12): nobody would read it.
    """

    def __init__(self, shape: Shape, *, last: bool) -> None:
        super().__init__()
        d, hidden = shape.width, shape.hidden
        self.norm = nn.LayerNorm(d)
        self.feature_ffn = PerTokenFfn(shape.features, d, hidden, d)
        self.scenario_attention = ScenarioAttention(shape)
        self.task_attention = TaskAttention(shape)
        self.scenario_ffn = (
            None if last else GroupedMlp(shape.scenarios + 1, d, hidden, d, alike=True)
        )
        self.task_ffn = PerTokenFfn(shape.tasks, d, hidden, d)

    def forward(self, tokens: Tokens, selection: Selection) -> Tokens:
        feature = self.feature_ffn(self.norm(token_mixing(tokens.feature) + tokens.feature))
        scenario = self.scenario_attention(tokens.scenario, feature, selection) + tokens.scenario
        task = self.task_attention(tokens.task, feature) + tokens.task
        fused = task + selection.mean(scenario)[:, None]
        task = self.task_ffn(fused) + fused
        if self.scenario_ffn is not None:
            scenario = self.scenario_ffn.of_sorted(scenario, selection.row_counts) + scenario
        return Tokens(feature, scenario, task)

    def axes(self, features: Labels, scenarios: Labels, tasks: Labels) -> Axes:
        """Of the three kinds of tokens."""
        axes = {
            **under("feature_ffn", self.feature_ffn.axes(features)),
            **under("scenario_attention", self.scenario_attention.axes(scenarios, features)),
            **under("task_attention", self.task_attention.axes(tasks, features)),
            **under("task_ffn", self.task_ffn.axes(tasks)),
        }
        if self.scenario_ffn is None:
            return axes
        return {**axes, **under("scenario_ffn", self.scenario_ffn.axes(scenarios))}

    def shares(self, before: Tokens, after: Tokens, selection: Selection) -> Shares:
        """What the tokens before the block took of the features after it."""
        return Shares(
            task=self.task_attention.shares(before.task, after.feature),
            scenario=self.scenario_attention.shares(before.scenario, after.feature, selection),
        )


class TaskAttention(nn.Module):
    """Domain-aware attention of task tokens, (7): a query matrix a task, keys and values a feature.

    Forward: T_t [N, K, d], T_f [N, F, d] → [N, K, d].
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = PerTokenLinear(shape.tasks, shape.width, shape.width)
        self.key_value = PerTokenLinear(shape.features, shape.width, 2 * shape.width)

    def forward(self, task_NKd: Tensor, feature_NFd: Tensor) -> Tensor:
        k_NFd, v_NFd = self.key_value(feature_NFd).chunk(2, dim=2)
        return cross_attention(self.query(task_NKd), k_NFd, v_NFd, self.heads)

    def shares(self, task_NKd: Tensor, feature_NFd: Tensor) -> Tensor:
        """The attention's weights, [N, H, K, F]."""
        k_NFd = self.key_value(feature_NFd).chunk(2, dim=2)[0]
        return attention_weights(self.query(task_NKd), k_NFd, self.heads)

    def axes(self, tasks: Labels, features: Labels) -> Axes:
        """Of both kinds of tokens."""
        query, key_value = self.query.axes(tasks), self.key_value.axes(features)
        return {**under("query", query), **under("key_value", key_value)}


class ScenarioAttention(nn.Module):
    """Domain-aware attention of the selected scenario tokens, (8), with weights of its own.

    Forward: T_s [M, d], T_f [N, F, d] → [M, d].
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = GroupedLinear(shape.scenarios + 1, shape.width, shape.width, alike=True)
        self.key_value = PerTokenLinear(shape.features, shape.width, 2 * shape.width)

    def forward(self, scenario_Md: Tensor, feature_NFd: Tensor, selection: Selection) -> Tensor:
        k_NFd, v_NFd = self.key_value(feature_NFd).chunk(2, dim=2)
        q_NRd = self._queries(scenario_Md, selection)
        return selection.gather(cross_attention(q_NRd, k_NFd, v_NFd, self.heads))

    def shares(self, scenario_Md: Tensor, feature_NFd: Tensor, selection: Selection) -> Tensor:
        """The attention's weights, [N, H, R, F]."""
        k_NFd = self.key_value(feature_NFd).chunk(2, dim=2)[0]
        return attention_weights(self._queries(scenario_Md, selection), k_NFd, self.heads)

    def axes(self, scenarios: Labels, features: Labels) -> Axes:
        """Of both kinds of tokens."""
        query, key_value = self.query.axes(scenarios), self.key_value.axes(features)
        return {**under("query", query), **under("key_value", key_value)}

    def _queries(self, scenario_Md: Tensor, selection: Selection) -> Tensor:
        return selection.spread(self.query(scenario_Md, selection.row_counts))
