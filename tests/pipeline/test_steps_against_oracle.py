"""The steps give exactly what the slow oracle gives, on random worlds."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.spec import Spec
from tests.oracle import Outcome, Read, Schedule, run
from tests.pipeline.in_process import run_steps
from tests.worlds import target_worlds, worlds


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds(), shards=st.sampled_from([1, 3]))
def test_windows_dead_letters_and_counts_equal_the_oracle(
    world: tuple[Spec, Schedule], shards: int
) -> None:
    _equal_the_oracle(world, shards)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(world=target_worlds(), shards=st.sampled_from([1, 3]))
def test_with_a_target_domain_they_do_so_as_well(world: tuple[Spec, Schedule], shards: int) -> None:
    _equal_the_oracle(world, shards)


def _equal_the_oracle(world: tuple[Spec, Schedule], shards: int) -> None:
    spec, schedule = world[0], _needed(*world)
    expected, received = run(spec, schedule), run_steps(spec, schedule, shards)
    assert received.windows == expected.windows
    assert _buried(received) == _buried(expected)
    assert _comparable(received) == _comparable(expected)


def _buried(outcome: Outcome) -> Counter[tuple[object, ...]]:
    """Dead letters; of copies of an unmatched retraction either may be the one that is buried."""
    letters = [(one[0], one[3]) if one[3] == "unmatched" else one for one in outcome.dead_letters]
    return Counter(letters)


def _comparable(outcome: Outcome) -> Counter[str]:
    """Counts but for `accepted`, which one side counts before duplicates go."""
    return Counter(
        {name: n for name, n in outcome.counters.items() if not name.startswith("accepted/")}
    )


def _needed(spec: Spec, schedule: Schedule) -> Schedule:
    """Without searchification item events reach no step: they change no window."""
    if spec.target is not None and spec.target.searchify is not None:
        return schedule
    kinds = {stream.name: stream.kind for stream in spec.streams.values()}
    return [
        Read([e for e in step.events if kinds[e.stream] != "item"], step.now_ms)
        if isinstance(step, Read)
        else step
        for step in schedule
    ]
