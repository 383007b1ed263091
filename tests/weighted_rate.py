"""What a sample of unexposed candidates says of them all, and how far chance may take it."""

import math

import polars as pl

SIGMAS = 4.5
"""Lists and seeds are fixed: a test that passes once passes always."""


def weighted_rate(kept: pl.DataFrame, value: str) -> float:
    """The mean of `value` over kept candidates, each weighted by 1 / `probability`."""
    weight = 1.0 / kept["probability"]
    return float((kept[value] * weight).sum() / weight.sum())


def deviation(candidates: pl.DataFrame, value: str, kept: int) -> float:
    """The standard deviation of `weighted_rate` for `kept` of each `request`, equally likely.

    Requests are strata of simple random samples without replacement: the variance is
    `Σ n² (1 - k / n) S² / k / (Σ n)²`, S² being a list's variance (Cochran, Sampling Techniques,
    5.3). Lists of no more than `kept` are known whole.
    """
    lists = candidates.group_by("request").agg(n=pl.len(), spread=pl.col(value).var())
    drawn = lists.filter(pl.col("n") > kept)
    n = drawn["n"].cast(pl.Float64)
    variance = float((n * (n - kept) * drawn["spread"] / kept).sum())
    return math.sqrt(variance) / len(candidates)
