"""Rule 4: which (event, task) there are, and the count of those that no sample received."""

from schemas.spec import Spec, Task
from tests.oracle import hierarchy
from tests.oracle.state import Feedback, State, Unreceived


def tasks_of(spec: Spec, feedback: Feedback) -> list[Task]:
    """Identity: "an event none of whose possible domains (its own; the target's, if foreign) the
    task names is no (event, task)". One without any possible domain is an (event, task) of each
    task of its stream, which no sample can receive."""
    possible = possible_domains(spec, feedback)
    return [
        task
        for task in spec.tasks.values()
        if task.stream == feedback.stream
        and (not possible or any(domain in task.domains for domain in possible))
    ]


def possible_domains(spec: Spec, feedback: Feedback) -> list[str]:
    """Its own, and the target's if it is foreign and rule 3 is on."""
    possible = [] if feedback.domain is None else [feedback.domain]
    if spec.target is not None and hierarchy.is_on(spec) and hierarchy.is_foreign(spec, feedback):
        possible.append(spec.target.domain)
    return possible


def wait(state: State, feedback: Feedback, task: Task, cut_ms: int) -> None:
    """Rule 4: counted "at the first cut ≥ `t_e + window length + maturity` (or at the one that
    settles it, if later)"."""
    window = state.spec.window
    due_cut_ms = max(cut_ms, window.cut_at_or_after(feedback.time_ms + window.cut(0)))
    state.unreceived.append(Unreceived(feedback, task, due_cut_ms))


def count_unreceived(state: State, cut_ms: int) -> None:
    """Rule 4: "`before_request` if a kept sample of its own or the target domain with
    `t_e < t_s ≤` that cut exists, else `no_sample`"."""
    for waiting in [waiting for waiting in state.unreceived if waiting.due_cut_ms == cut_ms]:
        state.unreceived.remove(waiting)
        reason = "before_request" if is_followed(state, waiting.feedback, cut_ms) else "no_sample"
        state.count(f"{reason}/{waiting.task.name}")


def is_followed(state: State, event: Feedback, cut_ms: int) -> bool:
    target = state.spec.target
    domains = [event.domain, None if target is None else target.domain]
    return any(
        (sample.user, sample.item) == (event.user, event.item)
        and sample.domain in domains
        and event.time_ms < sample.time_ms <= cut_ms
        for sample in state.samples
    )
