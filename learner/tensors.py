"""Safetensors files."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from schemas.durable import flush


def save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors durably, whatever device or memory layout they have."""
    save_file(_apart(tensors), str(path))
    flush(path)


def load(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file to the CPU."""
    return load_file(str(path))


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors; safetensors refuses those that share memory."""
    ready: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        local = tensor.detach().cpu().contiguous()
        shared = local.untyped_storage().data_ptr() in seen
        ready[name] = local.clone() if shared else local
        seen.add(ready[name].untyped_storage().data_ptr())
    return ready
