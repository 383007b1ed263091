"""The baseline's interactions, against numbers worked out by hand."""

import torch

from models.dlrm_mlp import dot_products


def test_every_pair_of_vectors_interacts_once() -> None:
    # z1 · z2 = 1·3 + 2·4, z1 · z3 = 1·5 + 2·6, z2 · z3 = 3·5 + 4·6.
    z = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    assert dot_products(z).tolist() == [[11.0, 17.0, 39.0]]
