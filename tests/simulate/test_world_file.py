"""A wrong world file fails at once: file, key, what was expected, what was received."""

from pathlib import Path

import pytest

from pipelines.simulate import world_file
from pipelines.simulate.world_file import PRESETS, load, parse, scaled
from schemas.errors import SpecError

TINY = (Path(world_file.__file__).with_name("worlds") / "tiny.toml").read_text(encoding="utf-8")

COMPLAINTS = [
    ("seed = 7", "seed = -1", "seed: expected a whole number of 0 or more, received -1"),
    ("days = 3", "day = 3",
     "days: expected a whole number of 1 or more, received nothing (is 'day' a slip?)"),
    ('slice = "6h"', 'slice = "7h"',
     "slice: expected a duration that divides a day, received '7h'"),
    ("2025-01-06T00", "2025-01-06T01", "start: expected midnight UTC of a day after 1970"),
    ('target = "search"', 'target = "serch"',
     "target: expected the name of a domain, received 'serch' (did you mean 'search'?)"),
    ("drift = 0.15", "drift = 1.5", "users.drift: expected a rate from 0 to 1, received 1.5"),
    ("drift = 0.15", "drift = 0.15\ndrfit = 0.1",
     "users.drfit: expected no such key (did you mean 'drift'?)"),
    ("sellers = 80", "sellers = 7", "items.sellers: expected one or more for each category"),
    ("count = 2400", "count = 240", "domains.feed.candidates: expected at most 15, half of"),
    ('"query"', '"querry"', "domains.search.policy: expected one of query, interest, seller, "
     "received 'querry' (did you mean 'query'?)"),
    ("[6, 10]", "[6, 30]", "domains.search.exposed: expected [least, most] with 1 ≤ least"),
    ("share = 0.5", "share = 0", "domains.search.share: expected a number above zero"),
    ("click = 0.05", "click = 1", "domains.search.click: expected a rate between 0 and 1, neither"),
    ("{ shop_page = 1.0 }", "{}", "domains.shop.scenarios: expected a weight for each of"),
    ("unnamed = 0.25", "unnamed = 0.75", "journeys.unnamed: expected at most 0.5, 1 - named"),
    ('{ median = "20s"', '{ median = "2h"', "delays.click.median: expected a duration above zero"),
    ('cart = { median = "2m"', 'card = { median = "2m"',
     "delays.cart: expected a table, received nothing (is 'card' a slip?)"),
    ("{ click = 0.05, cart", "{ clik = 0.05, cart",
     "faults.missing_request_id.click: expected a rate from 0 to 1, received nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "complaint"), COMPLAINTS)
def test_a_mistake_is_named(old: str, new: str, complaint: str) -> None:
    assert old in TINY
    with pytest.raises(SpecError) as caught:
        parse(TINY.replace(old, new, 1), "my.toml")
    assert str(caught.value).startswith(f"my.toml: {complaint}")


def test_a_file_that_is_no_toml_is_named() -> None:
    with pytest.raises(SpecError, match=r"my.toml: expected TOML, received a syntax error"):
        parse("name = ", "my.toml")


def test_an_unknown_world_is_named_with_a_near_match() -> None:
    with pytest.raises(SpecError, match=r"tinny: expected the name of a shipped world .* 'tiny'"):
        load("tinny")


@pytest.mark.parametrize("preset", PRESETS)
def test_shipped_worlds_fit_the_shipped_spec(preset: str, tiny) -> None:
    world = load(preset)
    assert world.name == preset
    domains = {name: tuple(sorted(one.scenarios)) for name, one in world.domains.items()}
    assert domains == {name: one.scenarios for name, one in tiny.spec.domains.items()}


def test_a_world_can_be_scaled() -> None:
    world = scaled(load("tiny"), seed=1, users=5, days=2)
    assert (world.seed, world.users.count, world.days) == (1, 5, 2)
    with pytest.raises(SpecError, match="users: expected a whole number of 1 or more, received 0"):
        scaled(world, users=0)
