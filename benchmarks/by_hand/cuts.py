"""When labels are settled, sealed and closed."""

from benchmarks.by_hand.arrays import Ints
from schemas.spec import Spec


def cut_after(time_ms: Ints, spec: Spec) -> Ints:
    """The first cut at or after each time."""
    length_ms, maturity_ms = spec.window.length_ms, spec.window.maturity_ms
    return -((maturity_ms - time_ms) // length_ms) * length_ms + maturity_ms


def sealed(time_ms: Ints, spec: Spec) -> Ints:
    """The cut of the window that holds each time."""
    length_ms = spec.window.length_ms
    return time_ms // length_ms * length_ms + length_ms + spec.window.maturity_ms


def span(spec: Spec, task: str) -> int:
    """How long a label stays open."""
    return spec.tasks[task].horizon_ms + spec.tasks[task].retraction_horizon_ms
