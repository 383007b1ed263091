"""Rule 10: the labels of pseudo-samples."""

from schemas.spec import Task
from tests.oracle.credit import receive
from tests.oracle.own_domain import latest
from tests.oracle.state import Feedback, PseudoRequest, Sample, State

TIER = "searchified"


def credit_clicks(state: State, made: list[PseudoRequest], cut_ms: int) -> None:
    """Rule 10: "on the positive, from the click that made it and no other, each click task for
    which rule 1 holds, tier `searchified`"."""
    for pseudo in made:
        click = pseudo.click.click
        for task in target_tasks(state, click):
            if click.time_ms <= pseudo.positive.time_ms + task.horizon_ms:
                receive_searchified(state, click, task, pseudo.positive, cut_ms)


def credit_conversions(state: State, cut_ms: int) -> None:
    """Rule 10: "a conversion of any domain that no native target-domain sample received goes to
    the latest positive of that user and item whose click stands at `t_e`". Credit: "settled at
    the first cut ≥ `t_e` at which such a positive exists"."""
    if not state.pseudo_requests:
        return
    for conversion in state.feedback:
        if conversion.arrival.kind == "conversion":
            for task in target_tasks(state, conversion):
                positives = positives_for(state, conversion, task)
                if positives and not is_received_in_target(state, conversion, task):
                    receive_searchified(state, conversion, task, latest(positives), cut_ms)


def target_tasks(state: State, feedback: Feedback) -> list[Task]:
    """Identity: "pseudo-samples are of the target domain"."""
    assert state.spec.target is not None
    return [
        task
        for task in state.spec.tasks.values()
        if task.stream == feedback.stream and state.spec.target.domain in task.domains
    ]


def positives_for(state: State, conversion: Feedback, task: Task) -> list[Sample]:
    """Rule 10: "`t_click ≤ t_e ≤ t_s + horizon`", and the click "stands at `t_e`"."""
    found = []
    for pseudo in state.pseudo_requests:
        positive, falls_ms = pseudo.positive, pseudo.click.falls_ms
        if (
            (positive.user, positive.item) == (conversion.user, conversion.item)
            and pseudo.click.click.time_ms <= conversion.time_ms
            and conversion.time_ms <= positive.time_ms + task.horizon_ms
            and (falls_ms is None or conversion.time_ms < falls_ms)
        ):
            found.append(positive)
    return found


def is_received_in_target(state: State, feedback: Feedback, task: Task) -> bool:
    """By a native sample (rules 2 and 3, closed or not), or by a positive at an earlier cut."""
    assert state.spec.target is not None
    return any(
        one.feedback is feedback
        and one.task is task
        and one.sample.domain == state.spec.target.domain
        for one in state.received
    )


def receive_searchified(
    state: State, feedback: Feedback, task: Task, positive: Sample, cut_ms: int
) -> None:
    """Rule 4: what a searchified sample received is not counted. Rule 7: what was retracted at
    an earlier cut is withdrawn as it is credited."""
    receive(state, feedback, task, (positive, TIER), cut_ms)
    state.unreceived = [
        one for one in state.unreceived if (one.feedback, one.task) != (feedback, task)
    ]
    if feedback in state.retracted and state.received[-1] in state.credits:
        state.received[-1].withdrawn_cut_ms = cut_ms
