"""Titles look like their category, queries like their intent, and interests drift."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl

from pipelines.simulate.crowd import Crowd
from pipelines.simulate.seeds import Seeds
from tests.simulate.conftest import Written


def test_titles_are_more_alike_within_a_category_and_most_within_an_intent(tiny: Written) -> None:
    items = (
        tiny.events("item").unique("item_id", keep="first").drop_nulls("title")
        .join(tiny.truth("items"), on="item_id", suffix="_number").sort("item_id").head(400)
    )  # fmt: skip
    rows = [
        (set(title.split()), category, intent)
        for title, category, intent in items.select("title", "category_number", "intent").rows()
    ]
    alike: dict[str, list[int]] = {"intent": [], "category": [], "neither": []}
    for (one, c1, i1), (two, c2, i2) in combinations(rows, 2):
        kind = "intent" if i1 == i2 else "category" if c1 == c2 else "neither"
        alike[kind].append(len(one & two))
    means = {kind: float(np.mean(shared)) for kind, shared in alike.items()}
    assert means["intent"] > 2 * means["category"] > 4 * means["neither"]


def test_a_querys_words_are_in_titles_of_its_intent(tiny: Written) -> None:
    titles = tiny.events("item").join(tiny.truth("items"), on="item_id", suffix="_number")
    words = {
        intent: set(" ".join(texts).split())
        for intent, texts in titles.drop_nulls("title").group_by("intent").agg("title").rows()
    }
    for query, intent in tiny.truth("queries").select("query", "intent").rows():
        assert len(set(query.split()) & words[intent]) >= 2


def test_wordings_belong_to_one_intent(tiny: Written) -> None:
    queries = tiny.truth("queries")
    assert queries["query"].n_unique() == len(queries)
    assert (queries.group_by("intent").len()["len"] >= 2).any()


def test_a_search_shows_its_category_and_mostly_its_intent_on_top(tiny: Written) -> None:
    items = tiny.truth("items").select("item_id", of_intent="intent", of_category="category")
    found = tiny.candidates().filter(pl.col("domain") == "search").join(items, on="item_id")
    assert (found["category"] == found["of_category"]).all()
    fit = found.with_columns(fit=pl.col("intent") == pl.col("of_intent"))
    top, rest = fit.filter(pl.col("position") < 6)["fit"], fit.filter(~pl.col("shown"))["fit"]
    assert top.mean() > rest.mean() + 0.2


def test_interests_drift_by_the_days_share_and_keep_their_spread(tiny: Written) -> None:
    users = replace(tiny.world.users, count=4000)
    world, seeds = replace(tiny.world, users=users), Seeds(1)
    crowd = Crowd.of(world, seeds.crowd())
    before = crowd.interest
    for day in range(1, 4):
        crowd.drift(world, seeds.day(day))
    likeness = np.corrcoef(before.ravel(), crowd.interest.ravel())[0, 1]
    assert abs(likeness - (1 - users.drift) ** 1.5) < 0.02
    assert abs(crowd.interest.std() - users.interest_spread) < 0.02
    assert np.allclose(crowd.chances[:, -1], 1)
