"""Rule 3: the native target-domain sample to which feedback is credited, tier by tier."""

from schemas.spec import Spec, Task
from tests.oracle.own_domain import Placement, eligible_samples, is_clicked, latest, of_origin
from tests.oracle.state import Feedback, Sample, State


def is_on(spec: Spec) -> bool:
    """With `hierarchical = false` rule 3 places nothing."""
    return spec.target is not None and spec.target.hierarchical


def is_foreign(spec: Spec, feedback: Feedback) -> bool:
    """Identity: without a domain "it counts as foreign"."""
    return spec.target is not None and feedback.domain != spec.target.domain


def place_in_target(
    state: State, feedback: Feedback, task: Task, received: bool, cut_ms: int
) -> Placement | None:
    """Rule 3: "foreign feedback onto native target-domain samples". "A target-domain conversion
    that rule 2 cannot place may still go to tier (3); a target-domain click does not"."""
    target = state.spec.target
    if target is None or not target.hierarchical or target.domain not in task.domains:
        return None
    samples = eligible_samples(state, feedback, task.horizon_ms, target.domain)
    if is_foreign(state.spec, feedback):
        return place_by_tier(state, feedback, samples, cut_ms)
    if feedback.arrival.kind == "conversion" and not received:
        return latest_of(of_origin("unexposed", samples), "unexposed")
    return None


def place_by_tier(
    state: State, feedback: Feedback, samples: list[Sample], cut_ms: int
) -> Placement | None:
    """Rule 3: "Clicks: (1) `exposed`, else (2) `unexposed`. Conversions: (1) `clicked`, else
    (2) `exposed` without click, else (3) `unexposed`"."""
    exposed = of_origin("exposed", samples)
    clicked = []
    if feedback.arrival.kind == "conversion":
        clicked = [s for s in exposed if is_clicked(state, s, feedback.time_ms, cut_ms)]
    return (
        latest_of(clicked, "clicked")
        or latest_of(exposed, "exposed")
        or latest_of(of_origin("unexposed", samples), "unexposed")
    )


def latest_of(samples: list[Sample], tier: str) -> Placement | None:
    return (latest(samples), tier) if samples else None
