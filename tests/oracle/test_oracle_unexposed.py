"""Rule 9, by hand. Origin 0 is `exposed`, origin 1 `unexposed`.

XXH3-64 of (0, "r", item) orders the items c < e < b < d < a; of (0, "s", item) d < b < e < a < c;
of (7, "r", item) d < e < a < c < b.
"""

import xxhash

from schemas.spec import Target
from tests.oracle.examples import (
    act,
    candidate,
    label,
    mixed,
    outcome_of,
    product,
    request_of,
)
from tests.oracle.examples import show as shown

FIVE = mixed(hidden="abcde")


def kept(
    items: list[dict[str, object]], target: Target, **request: str
) -> list[tuple[object, ...]]:
    """Item, origin, position and probability of what is kept."""
    event = shown(1, items=items, **{"scenario": "find", **request})
    outcome = outcome_of(product(target=target), event)
    candidates = request_of(outcome, event.fields["request_id"])["candidates"]
    names = ("item_id", "origin", "position", "probability")
    return list(zip(*(candidates[name] for name in names), strict=True))


def test_the_hashes_by_hand_are_those_of_seed_request_and_item_joined_by_a_zero_byte() -> None:
    assert xxhash.xxh3_64_intdigest(b"0\0r\0c") == 1274180738123959324
    assert xxhash.xxh3_64_intdigest(b"0\0r\0a") == 11730894471259206871
    # The last is above 2^63: as signed it would come first.
    assert 11730894471259206871 > 1 << 63


def test_of_the_unexposed_those_with_the_smallest_unsigned_hash_are_kept() -> None:
    # k = 2, n = 5: c and e, each kept with probability 0.4; they stand by position.
    expected = [("c", 1, 2, 0.4), ("e", 1, 4, 0.4)]
    assert kept(FIVE, Target("search", unexposed=2)) == expected


def test_the_choice_depends_on_the_request_and_on_the_seed() -> None:
    target = Target("search", unexposed=2)
    assert [one[0] for one in kept(FIVE, target, request_id="s")] == ["b", "d"]
    assert [one[0] for one in kept(FIVE, Target("search", unexposed=2, seed=7))] == ["d", "e"]


def test_all_are_kept_with_probability_1_where_there_are_no_more_than_asked_for() -> None:
    for k in (1, 2, 9):
        assert kept(mixed(hidden="a"), Target("search", unexposed=k)) == [("a", 1, 0, 1.0)]
    three = mixed(hidden="abc")
    assert [one[3] for one in kept(three, Target("search", unexposed=3))] == [1.0, 1.0, 1.0]


def test_exposed_and_unexposed_samples_stand_together_by_position() -> None:
    # Unexposed are b, c and d; c and b have the smallest hashes: 2 of 3.
    items = [
        candidate("c", 0, exposed=False),
        candidate("a", 3),
        candidate("d", 2, exposed=False),
        candidate("b", 5, exposed=False),
        candidate("e", 4),
    ]
    expected = [("c", 1, 0, 2 / 3), ("a", 0, 3, 1.0), ("e", 0, 4, 1.0), ("b", 1, 5, 2 / 3)]
    assert kept(items, Target("search", unexposed=2)) == expected


def test_repeats_are_gone_before_the_choice() -> None:
    # a is exposed elsewhere, so that only b and c are unexposed: n = 2; c keeps position 3.
    items = [
        candidate("a", 0, exposed=False),
        candidate("a", 1),
        candidate("b", 2, exposed=False),
        candidate("c", 4, exposed=False),
        candidate("c", 3, exposed=False),
    ]
    assert kept(items, Target("search", unexposed=1)) == [("a", 0, 1, 1.0), ("c", 1, 3, 0.5)]


def test_only_requests_of_the_target_domain_keep_unexposed_candidates() -> None:
    assert kept(mixed("a", "bc"), Target("search", unexposed=2), scenario="front") == [
        ("a", 0, 0, 1.0)
    ]


def test_a_label_plays_no_part_in_the_choice() -> None:
    # a is bought, c is chosen: the purchase finds no sample.
    spec = product(target=Target("search", unexposed=1))
    request = shown(1, items=FIVE, scenario="find")
    outcome = outcome_of(spec, request, act("click", 2, item="a"))
    assert request_of(outcome)["candidates"]["item_id"] == ["c"]
    assert label(outcome, item="c")[0] == 0.0
    assert outcome.counters["no_sample/click"] == 1
