"""HHSFT's fast weights under the names of the slow reference, and its answer to a batch."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from models.batch import UserBatch
from models.hhsft import Hhsft, HhsftConfig
from models.hhsft.experts import DomainExperts
from models.hhsft.interaction import GlobalLayer, HeterogeneousLayer
from models.hhsft.plan import plan_of
from tests.references.hhsft import HhsftReference

Named = Iterator[tuple[str, Tensor]]


def slow_logits(model: Hhsft, config: HhsftConfig, batch: UserBatch) -> Tensor:
    """The reference's logits of a batch, from the features that the fast model embeds."""
    reference = HhsftReference(
        dict(weights_of(model, config)),
        layers=config.layers,
        global_layers=config.global_layers,
        global_tokens=config.global_tokens,
        n_domains=model.domains,
        heads=config.heads,
        global_heads=config.global_heads,
        norm="pre",
    )
    blocks, user = block_inputs(model, batch)
    origin = batch.origin_domain[batch.sample_request]
    return reference(blocks, origin.tolist(), user, model.gate.domain.weight[origin])


def block_inputs(model: Hhsft, batch: UserBatch) -> tuple[list[Tensor], Tensor]:
    """What enters each block's MLP, and Emb_u, a row a sample."""
    seen: list[Tensor] = []
    tokenizer = model.tokenizer
    hooks = [
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for block in (*tokenizer.request.values(), *tokenizer.sample.values())
    ]
    user = tokenizer(batch, plan_of(batch, model.streams, model.domains)).user
    for hook in hooks:
        hook.remove()
    shared = len(tokenizer.request)
    request = batch.sample_request
    empty = seen[0].new_zeros(batch.n_requests, 0)
    repeated = [block[request] for block in seen[:shared]]
    return [*repeated, *seen[shared:]], torch.cat([empty, *user], dim=1)[request]


def weights_of(model: Hhsft, config: HhsftConfig) -> Named:
    """The model's weights as the reference names and shapes them."""
    blocks = (*model.tokenizer.request.values(), *model.tokenizer.sample.values())
    for i, block in enumerate(blocks):
        yield from layers(f"block.{i}", *block)
    for at, layer in enumerate((model.interaction.first, *model.interaction.others)):
        yield from heterogeneous(f"hfa.{at}", layer)
    for at, layer in enumerate(model.interaction.whole):
        yield from whole(f"gfa.{at}", layer, config)
    yield from norm("gfa.norm", model.interaction.norm)
    yield from layers("dref.gate", model.fusion.gate)
    yield from layers("dref.shared", *model.fusion.shared)
    yield from experts("dref", model.fusion.routed)
    yield from experts("dapga", model.attention.experts)
    value = model.attention.value.weight.T
    for name in ("query", "key"):
        linear = getattr(model.attention, name)
        # With a single domain they decide nothing: any will do.
        yield f"dapga.W_{name[0].upper()}", value if linear is None else linear.weight.T
    yield "dapga.W_V", value
    yield "dapga.W", model.gate.linear.weight.T
    yield "dapga.b", model.gate.linear.bias
    for k in range(model.domains):
        yield f"head.{k}.W0", model.heads.out[k, :, 0].T
        yield f"head.{k}.b0", model.heads.out_bias[k, :, 0]


def layers(name: str, *modules: nn.Module) -> Named:
    """The linear layers among some modules."""
    for i, one in enumerate(module for module in modules if isinstance(module, nn.Linear)):
        yield f"{name}.W{i}", one.weight.T
        yield f"{name}.b{i}", one.bias


def norm(name: str, module: nn.Module) -> Named:
    yield f"{name}.gain", module.gain
    yield f"{name}.bias", module.bias


def heterogeneous(name: str, layer: HeterogeneousLayer) -> Named:
    yield from norm(f"{name}.norm1", layer.norm_in)
    yield from norm(f"{name}.norm2", layer.norm_ffn)
    for i, (qkv, out) in enumerate(zip(layer.qkv.weight, layer.out.weight, strict=True)):
        for part, weight in zip("QKV", qkv.chunk(3, dim=1), strict=True):
            yield f"{name}.{i}.W_{part}", weight
        yield f"{name}.{i}.W_O", out
        for at, linear in enumerate((layer.ffn.first, layer.ffn.second)):
            yield f"{name}.{i}.ffn.W{at}", linear.weight[i]
            yield f"{name}.{i}.ffn.b{at}", linear.bias[i, 0]


def whole(name: str, layer: GlobalLayer, config: HhsftConfig) -> Named:
    yield from norm(f"{name}.norm1", layer.norm_in)
    yield from norm(f"{name}.norm2", layer.norm_ffn)
    qkv = layer.qkv.weight.view(3, config.global_tokens, config.d_g, -1)
    for part, weights in zip("QKV", qkv, strict=True):
        for j, weight in enumerate(weights):
            yield f"{name}.{j}.W_{part}", weight.T
    yield from layers(f"{name}.ffn", *layer.ffn)


def experts(name: str, module: DomainExperts) -> Named:
    for at, layer in enumerate((module.first, module.second)):
        for k, (weight, bias) in enumerate(zip(layer.weight, layer.bias, strict=True)):
            yield f"{name}.{k}.W{at}", weight.T
            yield f"{name}.{k}.b{at}", bias
