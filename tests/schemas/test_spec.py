"""What a right spec means, on the made-up shop."""

import pytest

from schemas.record import user_window_schema
from schemas.spec import (
    Domain,
    Feature,
    Kafka,
    Sequences,
    Source,
    Spec,
    Stream,
    Task,
    Time,
    Window,
    parse,
)
from schemas.spec.digest import spec_digest

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

SMALLEST = """
name = "smallest"
window.length = "1h"
streams.exposure.kind = "exposure"
streams.click.kind = "click"
domains.feed.scenarios = ["home"]
tasks.click = { stream = "click", horizon = "1h" }
sequences = { streams = ["click"], history = 0, recent = 0 }
"""


def test_every_table_is_read(shop: Spec) -> None:
    assert shop.name == "shop"
    assert shop.window == Window(HOUR_MS, 10 * MINUTE_MS)
    assert shop.time == Time(max_ahead_ms=5 * MINUTE_MS, slack_ms=30_000, idle_ms=2 * MINUTE_MS)
    assert shop.source.ordered
    assert shop.streams["order"] == Stream("order", "conversion", topic="orders")
    assert shop.domains["feed"] == Domain("feed", ("detail", "home"))
    assert shop.tasks["spent"] == Task("spent", "order", DAY_MS, 2 * DAY_MS, "sum", ("search",))
    assert shop.sequences == Sequences(("click", "order"), 10, 5, ("tags",))
    assert shop.models == {"tiny": {"width": 8}}
    assert shop.learner == {"batch": 64}


def test_features_of_one_table_share_it_and_numbers_have_none(shop: Spec) -> None:
    assert shop.features["tags"] == Feature("tags", "item", "ids", table="words")
    assert shop.features["words"].table == "words"
    assert shop.features["age"] == Feature("age", "user", "number", default=30.0)
    color = Feature("color", "item", "id", ("red", "blue"), "red", "color")
    assert shop.features["color"] == color


def test_what_is_left_out_has_a_default() -> None:
    spec = parse(SMALLEST)
    assert spec.window.maturity_ms == 0
    assert spec.time == Time(max_ahead_ms=HOUR_MS, slack_ms=0, idle_ms=MINUTE_MS)
    assert spec.streams["click"].topic == "click"
    assert spec.tasks["click"] == Task("click", "click", HOUR_MS, 0, "binary", ("feed",))
    assert (spec.features, spec.models, spec.learner) == ({}, {}, {})
    assert spec.source == Source(ordered=False, kafka=Kafka(security_protocol="PLAINTEXT"))


def test_a_scenario_belongs_to_one_domain(shop: Spec) -> None:
    assert shop.scenarios == ("detail", "home", "search_page")
    assert [shop.domain_of(name) for name in shop.scenarios] == ["feed", "feed", "search"]
    with pytest.raises(KeyError, match="checkout"):
        shop.domain_of("checkout")


def test_streams_and_features_are_listed_by_name(shop: Spec) -> None:
    assert [stream.name for stream in shop.feedback_streams] == ["click", "order"]
    assert [stream.name for stream in shop.of_kind("retraction", "item")] == ["item", "refund"]
    assert [f.name for f in shop.owned_by("item", "cross")] == ["color", "match", "tags"]


def test_a_stream_is_followed_for_the_longest_horizon_of_its_tasks(shop: Spec) -> None:
    assert shop.stream_horizon_ms("click") == 30 * MINUTE_MS
    assert shop.stream_horizon_ms("order") == DAY_MS
    assert shop.stream_horizon_ms("item") is None


def test_memory_is_the_longest_horizon_plus_the_longest_retraction_horizon(shop: Spec) -> None:
    assert shop.longest_horizon_ms == DAY_MS
    assert shop.memory_ms == 3 * DAY_MS


def test_a_stream_needs_values_if_any_of_its_tasks_adds_or_compares(shop: Spec) -> None:
    assert shop.valued_streams() == {"order"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("width = 8", "width = 9"),
        ("batch = 64", "batch = 65"),
        ("ordered = true", "ordered = false"),
        ("ordered = true", 'kafka.security_protocol = "SSL"'),
        ('topic = "orders"', 'topic = "orders_v2"'),
        ("# A made-up shop", "# The same shop"),
    ],
)
def test_what_decides_no_window_leaves_the_digest_alone(
    shop: Spec, shop_toml: str, old: str, new: str
) -> None:
    assert old in shop_toml
    assert spec_digest(parse(shop_toml.replace(old, new))) == spec_digest(shop)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "shop"', 'name = "shop2"'),
        ('length = "1h"', 'length = "2h"'),
        ('slack = "30s"', 'slack = "31s"'),
        ('horizon = "30m"', 'horizon = "31m"'),
        ('"home", "detail"', '"home", "details"'),
        ("default = 30", "default = 31"),
        ("recent = 5", "recent = 6"),
    ],
)
def test_what_may_decide_a_window_changes_the_digest(
    shop: Spec, shop_toml: str, old: str, new: str
) -> None:
    assert old in shop_toml
    assert spec_digest(parse(shop_toml.replace(old, new))) != spec_digest(shop)


def test_the_order_of_a_section_in_the_file_means_nothing(shop: Spec, shop_toml: str) -> None:
    lines = shop_toml.splitlines()
    first = lines.index("[features]") + 1
    last = lines.index("", first)
    turned = [*lines[:first], *reversed(lines[first:last]), *lines[last:]]
    assert turned != lines
    other = parse("\n".join(turned).replace('"home", "detail"', '"detail", "home"'))
    assert spec_digest(other) == spec_digest(shop)
    assert user_window_schema(other).equals(user_window_schema(shop))
