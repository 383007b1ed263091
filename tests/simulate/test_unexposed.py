"""Rule 9 on the tiny world: the kept unexposed have the click propensity of all unexposed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.drivers.direct import DirectSettings, run
from schemas.labels import ORIGIN_CODES
from schemas.windows import WindowStore
from tests.simulate.conftest import SPEC, Written, users_of
from tests.weighted_rate import SIGMAS, deviation, weighted_rate

pytestmark = pytest.mark.slow
SEEDS = range(5)
TARGET = SPEC.target
assert TARGET is not None


@pytest.fixture(scope="module")
def kept(tiny: Written, tmp_path_factory: pytest.TempPathFactory) -> list[pl.DataFrame]:
    """For each seed the kept unexposed candidates: request, item_id, probability."""
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "events").mkdir()
    (folder / "events" / "exposure").symlink_to(tiny.out / "events" / "exposure")
    return [_kept(folder, seed) for seed in SEEDS]


def _kept(folder: Path, seed: int) -> pl.DataFrame:
    out = folder / str(seed)
    spec = replace(SPEC, target=replace(TARGET, seed=seed))
    paths = (folder / "events", out / "windows", out / "state")
    run(DirectSettings(spec, *paths, shards=1, final=True))
    store = WindowStore(out / "windows")
    return pl.concat(_unexposed(users) for users in users_of(store, spec))


def _unexposed(users: pl.DataFrame) -> pl.DataFrame:
    requests = users.select("requests").explode("requests").unnest("requests")
    names = ("item_id", "origin", "probability")
    lists = [pl.col("candidates").struct.field(name) for name in names]
    flat = requests.select(pl.col("id").alias("request"), *lists).explode(names)
    return flat.filter(origin=ORIGIN_CODES["unexposed"]).drop("origin")


@pytest.fixture(scope="module")
def everyone(tiny: Written, kept: list[pl.DataFrame]) -> pl.DataFrame:
    """All unexposed candidates of searches that were not refused as late.

    `attraction` is the chance of a click if the user looks, `remembered` whether the user came
    back for the item elsewhere.
    """
    hidden = tiny.candidates().filter(~pl.col("shown"), domain="search")
    causes = tiny.truth("feedback").filter(cause_domain="search", cause_origin="unexposed")
    came = causes.select("item_id", request_id="cause_request_id", remembered=1.0).unique()
    whole = hidden.join(came, on=["request_id", "item_id"], how="left")
    sealed = pl.concat(kept).select(request_id="request").unique()
    rows = whole.join(sealed, on="request_id", how="semi")
    assert rows["request_id"].n_unique() > 0.99 * hidden["request_id"].n_unique()
    rates = ("attraction", pl.col("remembered").fill_null(0.0))
    return rows.select("item_id", *rates, request="request_id")


@pytest.mark.parametrize("value", ["attraction", "remembered"])
def test_the_weighted_rate_of_the_kept_is_that_of_all_unexposed(
    kept: list[pl.DataFrame], everyone: pl.DataFrame, value: str
) -> None:
    truth, sigma = everyone[value].mean(), deviation(everyone, value, TARGET.unexposed)
    samples = [one.join(everyone, on=["request", "item_id"]) for one in kept]
    assert [len(one) for one in samples] == [len(one) for one in kept]
    rates = np.array([weighted_rate(one, value) for one in samples])
    assert np.abs(rates - truth).max() < SIGMAS * sigma
    assert abs(rates.mean() - truth) < SIGMAS * sigma / len(SEEDS) ** 0.5
    assert len(set(rates.tolist())) == len(SEEDS)


def test_the_chance_of_being_kept_is_the_one_that_is_written(
    kept: list[pl.DataFrame], everyone: pl.DataFrame
) -> None:
    chance = everyone.group_by("request").agg(p=(TARGET.unexposed / pl.len()).clip(upper_bound=1.0))
    for one in kept:
        both = one.join(chance, on="request")
        assert both["p"].to_list() == both["probability"].to_list()
        assert both.group_by("request").len()["len"].max() == TARGET.unexposed
