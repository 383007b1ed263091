"""Where a learner computes."""

import os

import torch

from schemas.errors import UserError


def chosen_device(name: str) -> torch.device:
    """The device of that name, made deterministic. Raises UserError if there is none."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device: expected a CUDA device, received none. Name --device cpu.")
    device = torch.device("cuda" if available and name != "cpu" else "cpu")
    # cuBLAS reads it at its first product, and repeats itself only if it is set.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    return device
