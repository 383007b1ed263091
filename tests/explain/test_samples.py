"""Which candidates are samples, by hand: repeats, and what rule 9 draws."""

import pytest
import xxhash

from pipelines.explain.samples import native_samples
from pipelines.explain.settle import Settled
from schemas.spec import Spec, Target
from tests.explain.reading import events_of
from tests.oracle import Event
from tests.oracle.examples import candidate, mixed, product, show


def spec_of(unexposed: int, seed: int = 0) -> Spec:
    return product(target=Target("search", unexposed=unexposed, seed=seed))


def samples(spec: Spec, event: Event, items: str = "abcd") -> dict[str, tuple[str, int, float]]:
    """Origin, position and probability of each item that is kept."""
    requests = [Settled(r, 10, False) for r in events_of(spec, "u", event).requests]
    kept = {item: native_samples(requests, item, spec) for item in items}
    return {
        item: (one.origin, one.position, one.probability)
        for item, found in kept.items()
        for one in found
    }


def test_of_repeats_the_exposed_at_the_lowest_position_is_the_sample() -> None:
    items = [
        candidate("a", 0, exposed=False),
        candidate("a", 2),
        candidate("a", 1),
        candidate("b", 4, exposed=False),
        candidate("b", 3, exposed=False),
    ]
    found = samples(spec_of(1), show(1, items=items, scenario="find"))
    assert found == {"a": ("exposed", 1, 1.0), "b": ("unexposed", 3, 1.0)}


def test_another_domain_keeps_no_unexposed_candidate() -> None:
    assert samples(spec_of(2), show(1, items=mixed("a", "bc"))) == {"a": ("exposed", 0, 1.0)}


def test_a_probability_is_k_of_n() -> None:
    found = samples(spec_of(2), show(1, items=mixed("a", "bcd"), scenario="find"))
    assert found.pop("a") == ("exposed", 0, 1.0)
    assert [origin for origin, _, _ in found.values()] == ["unexposed", "unexposed"]
    assert {probability for _, _, probability in found.values()} == {2 / 3}


@pytest.mark.parametrize("seed", [0, 7])
def test_the_smallest_hashes_read_as_unsigned_are_drawn(seed: int) -> None:
    other_if_signed = 0
    for number in range(12):
        event = show(1, f"s{number}", mixed("", "abcd"), scenario="find")
        keys = {
            item: xxhash.xxh3_64_intdigest(f"{seed}\0s{number}\0{item}".encode()) for item in "abcd"
        }
        drawn = min(keys, key=lambda item: keys[item])
        signed = min(keys, key=lambda item: (keys[item] + 2**63) % 2**64)
        assert list(samples(spec_of(1, seed), event)) == [drawn]
        other_if_signed += drawn != signed
    assert other_if_signed > 0
