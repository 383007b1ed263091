"""Credit: feedback gets its domain and is credited, "decided for each (event, task) alone"."""

from schemas.spec import FEEDBACK_KINDS, Task
from tests.oracle.hierarchy import place_in_target
from tests.oracle.own_domain import Placement, exposed_samples, place
from tests.oracle.received import tasks_of, wait
from tests.oracle.state import Arrival, Credit, Feedback, Sample, State


def settle_feedback(state: State, arrivals: list[Arrival]) -> list[Feedback]:
    """The living feedback of a cut, each with its domain."""
    settled = [
        Feedback(arrival, domain_of(state, arrival))
        for arrival in arrivals
        if arrival.kind in FEEDBACK_KINDS
    ]
    state.feedback.extend(settled)
    return settled


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


def credit(state: State, feedback: Feedback, cut_ms: int) -> None:
    """Rule 1: "At most one sample of the event's own domain (rule 2) and, if it is foreign to
    the target domain, at most one native target-domain sample (rule 3)"."""
    for task in tasks_of(state.spec, feedback):
        own = place_in_own_domain(state, feedback, task, cut_ms)
        target = place_in_target(state, feedback, task, own is not None, cut_ms)
        for placed in (own, target):
            if placed is not None:
                receive(state, feedback, task, placed, cut_ms)
        if own is None and target is None:
            wait(state, feedback, task, cut_ms)


def place_in_own_domain(
    state: State, feedback: Feedback, task: Task, cut_ms: int
) -> Placement | None:
    """Rule 2, for a task that names the event's own domain."""
    if feedback.domain not in task.domains:
        return None
    return place(state, feedback, exposed_samples(state, feedback, task.horizon_ms), cut_ms)


def receive(state: State, feedback: Feedback, task: Task, placed: Placement, cut_ms: int) -> None:
    """Rule 8: "else count as `closed` (once per event, on time or late)"."""
    sample, tier = placed
    one = Credit(sample, task, feedback, tier, cut_ms)
    state.received.append(one)
    if acts(state, sample, task, cut_ms):
        state.credits.append(one)
    elif feedback not in state.closed:
        state.closed.append(feedback)
        state.count("closed")


def acts(state: State, sample: Sample, task: Task, cut_ms: int) -> bool:
    """Rule 8: "on their own labels only, where these were still open or not yet published at
    the last cut"."""
    last_cut_ms = cut_ms - state.spec.window.length_ms
    open_until_ms = sample.time_ms + task.horizon_ms + task.retraction_horizon_ms
    return open_until_ms > last_cut_ms or sample.cut_ms > last_cut_ms
