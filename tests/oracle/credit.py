"""Rules 1 and 2: to which sample a feedback event is credited, and which samples are clicked."""

from collections.abc import Collection

from schemas.spec import FEEDBACK_KINDS, Spec, Task
from tests.oracle.state import Arrival, Credit, Feedback, Flag, Sample, State, Unreceived
from tests.oracle.validation import distinct_candidates


def kept_samples(spec: Spec, request: Arrival) -> list[Sample]:
    """Rule 1: "a *kept* sample `s` (exposed [...])"."""
    window_start_ms = spec.window.start(request.time_ms)
    return [
        Sample(
            user=request.user,
            request_id=request.fields["request_id"],
            item=candidate["item_id"],
            time_ms=request.time_ms,
            domain=spec.domain_of(request.fields["scenario"]),
            window_start_ms=window_start_ms,
            cut_ms=spec.window.cut(window_start_ms),
        )
        for candidate in distinct_candidates(request.event)
        if candidate["exposed"]
    ]


def domain_of(state: State, arrival: Arrival) -> str | None:
    """Identity: "The domain of feedback is that of its scenario; without one, that of the
    request it names (the user's own, `t_s ≤ t_e ≤ t_s + longest horizon`); else it has none"."""
    if arrival.fields.get("scenario") is not None:
        return state.spec.domain_of(arrival.fields["scenario"])
    for request in state.requests:
        age_ms = arrival.time_ms - request.time_ms
        named = request.fields["request_id"] == arrival.fields.get("request_id")
        if named and request.user == arrival.user and 0 <= age_ms <= state.spec.longest_horizon_ms:
            return state.spec.domain_of(request.fields["scenario"])
    return None


def eligible_samples(
    state: State, feedback: Feedback, horizon_ms: int, domains: Collection[str]
) -> list[Sample]:
    """Rule 1: "the same user and item and `t_s ≤ t_e ≤ t_s + horizon(task)`. This filters
    first"; of "the event's own domain", and of those that the task names."""
    return [
        sample
        for sample in state.samples
        if (sample.user, sample.item) == (feedback.user, feedback.item)
        and sample.time_ms <= feedback.time_ms <= sample.time_ms + horizon_ms
        and sample.domain == feedback.domain
        and sample.domain in domains
    ]


def latest(samples: list[Sample]) -> Sample:
    """Rule 1: "*Latest* always means the latest request time; ties go to the smaller request
    id"."""
    return min(samples, key=lambda sample: (-sample.time_ms, sample.request_id.encode()))


def place(
    state: State, feedback: Feedback, samples: list[Sample], cut_ms: int
) -> tuple[Sample, str] | None:
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
    samples = eligible_samples(state, click, horizon_ms, state.spec.domains)
    placed = place(state, click, samples, cut_ms)
    if placed is not None:
        state.flags.append(Flag(placed[0], click))


def credit(state: State, feedback: Feedback, cut_ms: int) -> None:
    """Credit: "decided for each (event, task) alone".
    Rule 8: "else count as `closed` (once per event, on time or late)"."""
    closed = False
    for task in tasks_of(state.spec, feedback):
        samples = eligible_samples(state, feedback, task.horizon_ms, task.domains)
        placed = place(state, feedback, samples, cut_ms)
        if placed is None:
            due_cut_ms = count_cut(state, feedback, cut_ms)
            state.unreceived.append(Unreceived(feedback, task, due_cut_ms))
        elif acts(state, placed[0], task, cut_ms):
            state.credits.append(Credit(placed[0], task, feedback, placed[1], cut_ms))
        else:
            closed = True
    if closed:
        state.count("closed")


def tasks_of(spec: Spec, feedback: Feedback) -> list[Task]:
    """Identity: "an event none of whose possible domains [...] the task names is no (event,
    task)". An event without a domain is one that no sample can receive."""
    return [
        task
        for task in spec.tasks.values()
        if task.stream == feedback.stream
        and (feedback.domain is None or feedback.domain in task.domains)
    ]


def acts(state: State, sample: Sample, task: Task, cut_ms: int) -> bool:
    """Rule 8: "on their own labels only, where these were still open or not yet published at
    the last cut"."""
    last_cut_ms = cut_ms - state.spec.window.length_ms
    open_until_ms = sample.time_ms + task.horizon_ms + task.retraction_horizon_ms
    return open_until_ms > last_cut_ms or sample.cut_ms > last_cut_ms


def count_cut(state: State, feedback: Feedback, cut_ms: int) -> int:
    """Rule 4: "at the first cut ≥ `t_e + window length + maturity` (or at the one that settles
    it, if later)"."""
    window = state.spec.window
    return max(cut_ms, window.cut_at_or_after(feedback.time_ms + window.cut(0)))


def count_unreceived(state: State, cut_ms: int) -> None:
    """Rule 4: "`before_request` if a kept sample of its own [...] domain with `t_e < t_s ≤`
    that cut exists, else `no_sample`"."""
    for waiting in [waiting for waiting in state.unreceived if waiting.due_cut_ms == cut_ms]:
        state.unreceived.remove(waiting)
        event = waiting.feedback
        followed = any(
            (sample.user, sample.item, sample.domain) == (event.user, event.item, event.domain)
            and event.time_ms < sample.time_ms <= cut_ms
            for sample in state.samples
        )
        reason = "before_request" if followed else "no_sample"
        state.count(f"{reason}/{waiting.task.name}")


def settle_feedback(state: State, arrivals: list[Arrival]) -> list[Feedback]:
    """The living feedback of a cut, each with its domain."""
    settled = [
        Feedback(arrival, domain_of(state, arrival))
        for arrival in arrivals
        if arrival.kind in FEEDBACK_KINDS
    ]
    state.feedback.extend(settled)
    return settled
