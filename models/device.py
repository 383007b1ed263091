"""From the host to where the weights are: what layers compute with goes there, and nobody waits."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


def moved(value: Value, device: torch.device) -> Value:
    """The same value, the tensors in it that are on the host copied to a device.

    A value is a tensor, or a list, tuple, mapping or frozen dataclass of values; what is none of
    these stays as it is, and so does a tensor that has left the host already. A copy to a CUDA
    device goes through pinned memory and is queued: the caller goes on at once. To the host nothing
    is copied.
    """
    return value if device.type == "cpu" else _moved(value, device)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return _copied(value, device) if value.device.type == "cpu" else value
    if isinstance(value, Mapping):
        return {name: _moved(one, device) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(one, device) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: _moved(getattr(value, f.name), device) for f in fields(value)}
        return replace(value, **changes)
    return value


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
