"""The baseline's pooling and interactions, against numbers worked out by hand."""

import torch

from models.dlrm_mlp import dot_products, mean_of_first


def test_runs_are_pooled_to_their_mean_and_an_empty_run_to_zero() -> None:
    x = torch.tensor([[1.0], [3.0], [8.0], [100.0]])
    first, count = torch.tensor([0, 3, 1, 0]), torch.tensor([3, 0, 2, 1])
    assert mean_of_first(x, first, count).flatten().tolist() == [4.0, 0.0, 5.5, 1.0]


def test_every_pair_of_vectors_interacts_once() -> None:
    # z1 · z2 = 1·3 + 2·4, z1 · z3 = 1·5 + 2·6, z2 · z3 = 3·5 + 4·6.
    z = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    assert dot_products(z).tolist() == [[11.0, 17.0, 39.0]]
