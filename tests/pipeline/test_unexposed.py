"""Rule 9 in numbers: what is kept of the unexposed stands for all of them, whatever the labels."""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.steps.attribute.keep import keep
from pipelines.steps.attribute.rules import Rules
from schemas.labels import ORIGIN_CODES
from schemas.spec import Searchify, Target
from tests.oracle import Event, Read, Schedule, Seal, SealAll
from tests.oracle.examples import NOW_MS, act, mixed, product, refund, show, task
from tests.pipeline.in_process import run_steps
from tests.weighted_rate import SIGMAS, deviation, weighted_rate

KEPT, SEEDS, REQUESTS = 3, 200, 300


@cache
def hand_made_lists() -> pl.DataFrame:
    """Unexposed candidates of lists of 1 to 30, below two exposed ones, with labels.

    A label is likelier at the top, in short lists and for some of the 60 items: a choice that
    leans on any of these, or weights that are not 1 / probability, give another rate.
    """
    rng = random.Random(11)
    rows = []
    for request in range(REQUESTS):
        length = rng.randint(1, 30)
        for place, item in enumerate(rng.sample(range(60), length)):
            rate = (0.9 if item % 3 else 0.4) / (1 + place / 5) / (1 + length / 20)
            rows.append((f"r{request}", f"i{item}", place + 2, float(rng.random() < rate)))
    return pl.DataFrame(rows, ["request", "item", "position", "label"], orient="row")


def exposures() -> pa.Table:
    """The lists as requests of the target domain, candidates in any order."""
    rng = random.Random(12)
    rows = []
    for (request,), group in hand_made_lists().group_by("request", maintain_order=True):
        shown = [{"item_id": f"shown{p}", "position": p, "exposed": True} for p in range(2)]
        hidden = [
            {"item_id": item, "position": position, "exposed": False}
            for item, position in group.select("item", "position").rows()
        ]
        candidates = rng.sample(shown + hidden, 2 + len(hidden))
        rows.append({"request_id": request, "scenario": "find", "candidates": candidates})
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def samples() -> list[pl.DataFrame]:
    """What each seed keeps of the lists: request, item, position, label, probability."""
    events = exposures()
    candidates = events["candidates"].combine_chunks()
    children, offsets = candidates.flatten(), candidates.offsets.to_numpy().astype(np.int64)
    owner = np.repeat(events["request_id"].to_numpy(), np.diff(offsets))
    logged = pl.DataFrame({"request": owner, "item": children.field("item_id").to_numpy(False)})
    parts = []
    for seed in range(SEEDS):
        target = Target("search", unexposed=KEPT, seed=seed)
        kept = keep(events, offsets, children, Rules.of(product(target=target)))
        rows = kept.rows[~kept.exposed]
        drawn = logged[rows].with_columns(probability=kept.probability[~kept.exposed])
        parts.append(drawn.join(hand_made_lists(), on=["request", "item"]))
    return parts


def test_the_weighted_rate_of_the_kept_is_the_rate_of_all(samples: list[pl.DataFrame]) -> None:
    everyone = hand_made_lists()
    truth, sigma = everyone["label"].mean(), deviation(everyone, "label", KEPT)
    rates = np.array([weighted_rate(kept, "label") for kept in samples])
    assert abs(rates.mean() - truth) < SIGMAS * sigma / SEEDS**0.5
    # Chance moves a seed's rate as much as it must, no less and no more.
    assert (
        1 - SIGMAS * (2 / SEEDS) ** 0.5 < rates.var() / sigma**2 < 1 + SIGMAS * (2 / SEEDS) ** 0.5
    )
    # Without the weights the same samples say something else, by far.
    bare = np.mean([kept["label"].mean() for kept in samples])
    assert abs(bare - truth) > 10 * sigma / SEEDS**0.5


@pytest.mark.parametrize("by", ["position", "label", "item"])
def test_every_candidate_is_as_likely_as_its_probability_says(
    samples: list[pl.DataFrame], by: str
) -> None:
    length = pl.len().over("request")
    chance = hand_made_lists().with_columns(p=(KEPT / length).clip(upper_bound=1.0))
    expected = chance.group_by(by).agg(
        mean=pl.col("p").sum() * SEEDS, variance=(pl.col("p") * (1 - pl.col("p"))).sum() * SEEDS
    )
    counted = pl.concat(samples).group_by(by).agg(n=pl.len())
    both = expected.join(counted, on=by, how="left").fill_null(0)
    off = (both["n"] - both["mean"]).abs()
    assert (off <= SIGMAS * both["variance"].sqrt() + 1e-6).all()
    assert (
        pl.concat(samples)
        .join(chance, on=["request", "item"])
        .select((pl.col("p") == pl.col("probability")).all())
        .item()
    )


SHOWN = (
    ("r", "u", "find", mixed("ab", "cdefghij"), 3),
    ("s", "u", "find", mixed("c", "abdefghij"), 8),
    ("t", "v", "find", mixed("", "abcdefghij"), 14),
    ("f", "u", "front", mixed("abcdefghij"), 9),
)
"""Request id, user, scenario, candidates, time: three searches, and a feed that shows all."""

FEEDBACK = st.builds(
    act,
    stream=st.sampled_from(["click", "tap", "buy"]),
    time_ms=st.integers(0, 45),
    event_id=st.sampled_from("12345678"),
    item=st.sampled_from("abcdefghij"),
    user=st.sampled_from("uv"),
    scenario=st.sampled_from(["front", "find", "mall", None]),
    request_id=st.sampled_from([None, "r", "s", "t", "f"]),
)
REFUNDS = st.builds(refund, st.integers(0, 60), st.just("click"), st.sampled_from("12345678"))


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(FEEDBACK | REFUNDS, st.sampled_from([0, 1, 2])), max_size=12),
    st.integers(0, 2),
)
def test_no_feedback_changes_what_is_kept(told: list[tuple[Event, int]], seed: int) -> None:
    """However much was clicked and bought, and whether it was read before, with or after."""
    reads = [[event for event, when in told if when == turn] for turn in range(3)]
    assert kept_of(seed, *reads) == kept_without_feedback(seed)


def test_the_feedback_that_changes_nothing_does_change_labels() -> None:
    told = [act("click", 10, str(n), item=item) for n, item in enumerate("cdefghij")]
    assert kept_of(0, told, [], []) == kept_without_feedback(0)
    [[*_, labels]] = [one for one in kept_of(0, told, [], [], labels=True) if one[0] == "s"]
    assert sum(labels) > 0


@cache
def kept_without_feedback(seed: int) -> list[tuple[Any, ...]]:
    """The same searches, and nobody did anything."""
    return kept_of(seed, [], [], [])


def kept_of(seed: int, *reads: Sequence[Event], labels: bool = False) -> list[tuple[Any, ...]]:
    """Of each native search its kept unexposed candidates with their probabilities."""
    pseudo = Searchify(negatives=2, floor=0.0, query_memory=2, text=())
    target = Target("search", unexposed=KEPT, seed=seed, searchify=pseudo)
    spec = product(task("click"), task("tap"), task("buy"), target=target)
    searches = [show(t, name, items, user, where) for name, user, where, items, t in SHOWN]
    before, beside, after = reads
    schedule: Schedule = [
        Read(tuple(before), NOW_MS),
        Read((*searches, *beside), NOW_MS),
        Seal(20),
        Read(tuple(after), NOW_MS),
        SealAll(),
    ]
    windows = run_steps(spec, schedule).windows.values()
    requests = [one for window in windows for user in window.users for one in user["requests"]]
    return sorted(_hidden(one, labels) for one in requests if one["source_request"] is None)


def _hidden(request: dict[str, Any], labels: bool) -> tuple[Any, ...]:
    candidates = request["candidates"]
    rows = [row for row, origin in enumerate(candidates["origin"]) if origin == UNEXPOSED]
    shown = [candidates["labels"]["click"]["value"][row] for row in rows] if labels else []
    kept = [[candidates[name][row] for row in rows] for name in ("item_id", "probability")]
    return request["id"], *kept, shown


UNEXPOSED = ORIGIN_CODES["unexposed"]
