"""Rules 1 and 2: the sample of its own domain to which feedback is credited, and click flags."""

from tests.oracle.state import Feedback, Flag, Sample, State

Placement = tuple[Sample, str]
"""A sample and the tier of the credit."""


def eligible_samples(
    state: State, feedback: Feedback, horizon_ms: int, domain: str | None
) -> list[Sample]:
    """Rule 1: "a *kept* sample `s` [...] with the same user and item and
    `t_s ≤ t_e ≤ t_s + horizon(task)`. This filters first"."""
    return [
        sample
        for sample in state.samples
        if (sample.user, sample.item) == (feedback.user, feedback.item)
        and sample.time_ms <= feedback.time_ms <= sample.time_ms + horizon_ms
        and sample.domain == domain
    ]


def exposed_samples(state: State, feedback: Feedback, horizon_ms: int) -> list[Sample]:
    """Rule 2: what a request id may name and what is latest: an exposed sample of the event's
    own domain."""
    samples = eligible_samples(state, feedback, horizon_ms, feedback.domain)
    return of_origin("exposed", samples)


def of_origin(origin: str, samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.origin == origin]


def latest(samples: list[Sample]) -> Sample:
    """Rule 1: "*Latest* always means the latest request time; ties go to the smaller request
    id"."""
    return min(samples, key=lambda sample: (-sample.time_ms, sample.request_id.encode()))


def place(state: State, feedback: Feedback, samples: list[Sample], cut_ms: int) -> Placement | None:
    """Rule 2: "A request id names a sample of the same user and domain → tier `direct`.
    Otherwise tier `in_domain`: a click → the latest exposed sample; a conversion → the latest
    clicked, else the latest exposed"."""
    named_id = feedback.arrival.fields.get("request_id")
    named = [sample for sample in samples if sample.request_id == named_id]
    if named:
        return latest(named), "direct"
    if feedback.arrival.kind == "conversion":
        clicked = [s for s in samples if is_clicked(state, s, feedback.time_ms, cut_ms)]
        samples = clicked or samples
    return (latest(samples), "in_domain") if samples else None


def is_clicked(state: State, sample: Sample, at_ms: int, cut_ms: int) -> bool:
    """Rule 3: "*Clicked at t* = a click event with `t_click ≤ t`, not retracted at t"; flags
    forgotten by this cut are not seen."""
    return any(
        flag.sample is sample
        and state.horizon_of_memory_ms(cut_ms) <= flag.click.time_ms <= at_ms
        and (flag.falls_ms is None or at_ms < flag.falls_ms)
        for flag in state.flags
    )


def raise_flag(state: State, click: Feedback, cut_ms: int) -> None:
    """Rule 3: a click "credited to it by rule 2 under the longest horizon of that stream's
    tasks"; a stream without tasks raises none, and no task's domains matter."""
    horizon_ms = state.spec.stream_horizon_ms(click.stream)
    if click.arrival.kind != "click" or horizon_ms is None:
        return
    placed = place(state, click, exposed_samples(state, click, horizon_ms), cut_ms)
    if placed is not None:
        state.flags.append(Flag(placed[0], click))
