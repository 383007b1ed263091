"""Entire Space User Interest Fusion (ESUIF), UniScale 3.4.2, equations (3) to (8).

n samples, sorted by domain; D domains, Z width of z, E width of an expert's output, K tasks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.axes import Axes, Read, features, wide
from models.device import moved
from models.hhsft.config import HhsftConfig
from models.hhsft.experts import DomainExperts
from models.layers.cross_attention import cross_attention
from models.layers.mlp import mlp
from models.layout import FeatureField


class RoutedFusion(nn.Module):
    """Domain-routed expert fusion (DREF): sorted z [n, Z] → e [n, E].

        [α_s, α_d] = softmax(g(z))                                   (3)
        e = α_s f_s(z) + α_d f_d(z)          d = the sample's domain (4)

    f_d neither sees a sample of another domain nor is moved by one.
    """

    def __init__(self, config: HhsftConfig, inner: int, domains: int) -> None:
        super().__init__()
        self.gate = nn.Linear(inner, 2)
        self.shared = mlp((inner, config.expert_hidden, config.expert_width))
        self.routed = DomainExperts(domains, inner, config.expert_hidden, config.expert_width)

    def forward(self, z_nZ: Tensor, counts: list[int]) -> Tensor:
        shared, routed = self.gate(z_nZ).softmax(dim=1).split(1, dim=1)
        e: Tensor = shared * self.shared(z_nZ) + routed * self.routed(z_nZ, counts)
        return e


class DomainAttention(nn.Module):
    """Domain-aware attention of DAPGA: sorted e [n, E] → õ [n, E].

        O = [o^cur, sg(o^d) for every other domain d]                (5)
        q = o^cur W^Q,  K = O W^K,  V = O W^V                        (6)
        õ = softmax(q Kᵀ / √E) V

    o^d is what domain d's expert makes of e. All are seen, the sample's own alone is moved. With a
    single domain its share is 1, and W^Q and W^K, which would decide nothing, are not there.
    """

    def __init__(self, config: HhsftConfig, domains: int) -> None:
        super().__init__()
        width = config.expert_width
        self.experts = DomainExperts(domains, width, config.expert_hidden, width)
        several = domains > 1
        self.query = nn.Linear(width, width, bias=False) if several else None
        self.key = nn.Linear(width, width, bias=False) if several else None
        self.value = nn.Linear(width, width, bias=False)

    def forward(self, e_nE: Tensor, counts: list[int]) -> Tensor:
        own_nE = self.experts(e_nE, counts)
        if self.query is None or self.key is None:
            return self.value(own_nE)
        o_nDE = _placed(own_nE, self.experts.of_all(e_nE), counts)
        q_n1E = self.query(own_nE)[:, None]
        return cross_attention(q_n1E, self.key(o_nDE), self.value(o_nDE), heads=1)[:, 0]


def _placed(own_nE: Tensor, all_nDE: Tensor, counts: list[int]) -> Tensor:
    """O of (5): each row's own output, which has a gradient, stands in the place of its domain."""
    n, domains, width = all_nDE.shape
    sorted_n = torch.repeat_interleave(torch.arange(domains), torch.tensor(counts))
    domain_n = moved(sorted_n, own_nE.device)
    return all_nDE.scatter(1, domain_n[:, None, None].expand(n, 1, width), own_nE[:, None])


class PersonalGate(nn.Module):
    """γ = σ(W [Emb_u; Emb_d] + b): user features, each [Q, E_u], and domain [Q] → [Q, E].  (7)"""

    def __init__(self, config: HhsftConfig, user_width: int, domains: int) -> None:
        super().__init__()
        self.domain = nn.Embedding(domains, config.embedding)
        self.linear = nn.Linear(user_width + config.embedding, config.expert_width)

    def forward(self, user: list[Tensor], domain_Q: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(torch.cat([*user, self.domain(domain_Q)], dim=1)))

    def axes(self, user: Sequence[FeatureField], domains: Sequence[str]) -> Axes:
        """Of user features and domains."""
        into = wide([*features(user), "domain"], self.domain.embedding_dim)
        return {"domain.weight": (domains, None), "linear.weight": (None, Read(into))}
