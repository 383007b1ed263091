"""One block: domain-aware interaction of all tokens, MDL 3.2 and 3.3, equations (5) to (15).

N samples, F feature tokens, K tasks, M (sample, scenario token) rows, R places for the scenario
tokens of a sample, H heads, d width of a token.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.layers.cross_attention import cross_attention
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
    """T_f, T_s, T_t → T_f', T_s', T_t' and the attention's shares.

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

    def forward(self, tokens: Tokens, selection: Selection) -> tuple[Tokens, Shares]:
        feature = self.feature_ffn(self.norm(token_mixing(tokens.feature) + tokens.feature))
        attended, scenario_shares = self.scenario_attention(tokens.scenario, feature, selection)
        scenario = attended + tokens.scenario
        attended, task_shares = self.task_attention(tokens.task, feature)
        fused = attended + tokens.task + selection.mean(scenario)[:, None]
        task = self.task_ffn(fused) + fused
        if self.scenario_ffn is not None:
            scenario = self.scenario_ffn.of_sorted(scenario, selection.row_counts) + scenario
        return Tokens(feature, scenario, task), Shares(task_shares, scenario_shares)


class TaskAttention(nn.Module):
    """Domain-aware attention of task tokens, (7): a query matrix a task, keys and values a feature.

    Forward: T_t [N, K, d], T_f [N, F, d] → [N, K, d] and its weights [N, H, K, F].
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = PerTokenLinear(shape.tasks, shape.width, shape.width)
        self.key_value = PerTokenLinear(shape.features, shape.width, 2 * shape.width)

    def forward(self, task_NKd: Tensor, feature_NFd: Tensor) -> tuple[Tensor, Tensor]:
        k_NFd, v_NFd = self.key_value(feature_NFd).chunk(2, dim=2)
        return cross_attention(self.query(task_NKd), k_NFd, v_NFd, self.heads)


class ScenarioAttention(nn.Module):
    """Domain-aware attention of the selected scenario tokens, (8), with weights of its own.

    Forward: T_s [M, d], T_f [N, F, d] → [M, d] and its weights [N, H, R, F].
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = GroupedLinear(shape.scenarios + 1, shape.width, shape.width, alike=True)
        self.key_value = PerTokenLinear(shape.features, shape.width, 2 * shape.width)

    def forward(
        self, scenario_Md: Tensor, feature_NFd: Tensor, selection: Selection
    ) -> tuple[Tensor, Tensor]:
        k_NFd, v_NFd = self.key_value(feature_NFd).chunk(2, dim=2)
        q_NRd = selection.spread(self.query(scenario_Md, selection.row_counts))
        attended_NRd, shares = cross_attention(q_NRd, k_NFd, v_NFd, self.heads)
        return selection.gather(attended_NRd), shares
