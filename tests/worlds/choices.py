"""Strategies that draw once: a list of what may be, the plainest first.

A world makes some two hundred choices, and Hypothesis spends its time on drawing them.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

from hypothesis import strategies as st

from schemas.spec import Spec

Choice = TypeVar("Choice")


def mostly(usual: Sequence[Choice], rare: Sequence[Choice]) -> st.SearchStrategy[Choice]:
    """The usual nineteen times in twenty; shrinks to the first of the usual."""
    return st.sampled_from([*list(usual) * len(rare) * 19, *list(rare) * len(usual)])


def bursts(one: st.SearchStrategy[Choice], most: int) -> st.SearchStrategy[list[Choice]]:
    """A list in up to so many bursts of none to four; longer than plain lists use to be."""
    several = st.lists(st.lists(one, max_size=4), max_size=most)
    return several.map(lambda drawn: list(chain.from_iterable(drawn)))


def durations(length_ms: int, windows: int) -> st.SearchStrategy[int]:
    """From none to several windows of this length, on the grid or off it."""
    on_grid = range(0, (windows + 1) * length_ms, length_ms)
    off_grid = range(0, windows * length_ms, max(1, length_ms // 7))
    return st.sampled_from([*on_grid, *off_grid])


def times(spec: Spec) -> st.SearchStrategy[int]:
    """Any time in six windows, and often the edges of windows and cuts or one beside them."""
    window = spec.window
    starts = [count * window.length_ms for count in range(7)]
    edges = [*starts, *map(window.cut_at_or_after, starts)]
    anywhere = _within(6 * window.length_ms)
    return st.sampled_from([*anywhere, *beside(edges)])


def ages(spec: Spec) -> st.SearchStrategy[int]:
    """How long feedback comes after its request: soon, at the edge of a horizon, any time."""
    longest_ms = spec.longest_horizon_ms
    soon = [] if spec.target is None else [0, 1, 1, 2, 2, 3] * 5
    horizons = [task.horizon_ms for task in spec.tasks.values()]
    return st.sampled_from(
        [*soon, *_within(spec.window.length_ms), *beside(horizons), *_within(longest_ms)]
    )


def regrets(spec: Spec) -> st.SearchStrategy[int]:
    """How long a retraction comes after its event: soon, at the edge of memory, any time."""
    edges = [0, spec.memory_ms, spec.memory_ms + spec.window.length_ms]
    edges += [task.retraction_horizon_ms for task in spec.tasks.values()]
    soon = _within(2 * spec.window.length_ms)
    return st.sampled_from([*soon, *soon, *beside(edges), *_within(spec.memory_ms)])


def _within(span_ms: int) -> list[int]:
    return list(range(0, span_ms + 1, max(1, span_ms // 10)))


def beside(edges: Iterable[int]) -> list[int]:
    """Each edge, and one before and after it."""
    return [max(0, edge + by) for edge in edges for by in (0, -1, 1)]
