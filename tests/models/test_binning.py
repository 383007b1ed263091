"""Logarithmic buckets of dense features, by hand."""

import math

import torch

from models.batch import Numbers
from models.layers.binning import LogBuckets


def buckets(*values: float, present: bool = True) -> list[int]:
    """The rows that these numbers read: row i of the table holds i."""
    layer = LogBuckets(dim=1, std=1.0)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(len(layer.weight))[:, None])
    column = Numbers(torch.tensor(values), torch.full((len(values),), present))
    return [int(row) for row in layer(column)[:, 0]]


def test_three_buckets_a_doubling_on_each_side_of_zero() -> None:
    # Row 0 is missing, 128 is zero; 2^-12 opens bucket 1, so 1 = 2^0 opens 3 · 12 + 1 = 37.
    assert buckets(0.0, 1.0, 1.2, 1.3, 2.0, -1.0) == [128, 165, 165, 166, 168, 91]


def test_shares_and_counts_are_told_apart_alike() -> None:
    # 1% and 2% are a doubling apart, as a million and two are.
    small, large = buckets(0.01, 0.02), buckets(1e6, 2e6)
    assert small[1] - small[0] == large[1] - large[0] == 3


def test_what_is_tiny_is_zero_and_what_is_huge_shares_a_bucket() -> None:
    assert buckets(2.0**-13, -(2.0**-13)) == [128, 128]
    assert buckets(2.0**30, 1e30, math.inf, -1e30) == [255, 255, 255, 1]


def test_missing_is_a_bucket_of_its_own() -> None:
    assert buckets(0.0, 7.0, present=False) == [0, 0]
