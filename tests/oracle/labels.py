"""Rules 4 and 6: a label as a function of the credits that stand at a cut."""

from schemas.spec import Task
from tests.oracle.state import Credit, Label, Sample, State


def label(state: State, sample: Sample, task: Task, cut_ms: int) -> Label:
    """Rule 4: "No event: value 0, tier null". Identity: "a sample outside [the task's domains]
    is not eligible and its label is *missing*, not 0"."""
    if sample.domain not in task.domains:
        return Label()
    still_open = is_open(sample, task, cut_ms)
    standing = standing_credits(state, sample, task)
    if not standing:
        return Label(value=0.0, open=still_open)
    shown = shown_credit(task, standing)
    event = shown.feedback
    value = label_value(task, standing, shown)
    return Label(value, shown.tier, event.event_id, event.time_ms, still_open)


def is_open(sample: Sample, task: Task, cut_ms: int) -> bool:
    """Rule 6: "**Open** at C = `t_s + horizon + retraction_horizon > C`"."""
    return sample.time_ms + task.horizon_ms + task.retraction_horizon_ms > cut_ms


def standing_credits(state: State, sample: Sample, task: Task) -> list[Credit]:
    """Rule 4: "Events of one label are ordered by (event time, event id)"."""
    standing = [
        credit
        for credit in state.credits
        if credit.sample is sample and credit.task is task and credit.withdrawn_cut_ms is None
    ]
    return sorted(standing, key=lambda c: (c.feedback.time_ms, c.feedback.event_id.encode()))


def shown_credit(task: Task, standing: list[Credit]) -> Credit:
    """Rule 4: "Binary: the first. `sum`: [...] shown with the first; `max`: the largest, first
    among equals; `last`: the last"."""
    if task.value == "max":
        return max(standing, key=lambda credit: credit.feedback.value)
    return standing[-1] if task.value == "last" else standing[0]


def label_value(task: Task, standing: list[Credit], shown: Credit) -> float:
    """Rule 4: "`sum`: all in that order (float64)"; a binary label that has an event is 1."""
    if task.value == "binary":
        return 1.0
    if task.value != "sum":
        return shown.feedback.value
    total = 0.0
    for credit in standing:
        total += credit.feedback.value
    return total
