"""What a label is at a cut, as a function of its credits: rules 4 to 7."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.explain.credit import Action, Placed
from pipelines.explain.samples import Sample
from schemas.spec import Spec, Task
from schemas.windows.sample import Label


@dataclass(frozen=True, eq=False)
class Credit:
    """An event on a sample's label from a cut on, until it is withdrawn.

    `closed`: the event came when the label could no longer change, and counts for nothing.
    """

    action: Action
    task: Task
    sample: Sample
    tier: str
    cut_ms: int
    closed: bool
    withdrawn_ms: int | None

    @property
    def value(self) -> float:
        """What the event adds to a label that is no binary one."""
        return self.action.event.value or 0.0

    def stands(self, cut_ms: int) -> bool:
        """Whether the label counts it at a cut."""
        settled = self.cut_ms <= cut_ms and not self.closed
        return settled and (self.withdrawn_ms is None or cut_ms < self.withdrawn_ms)


def credited(action: Action, task: Task, placed: Placed, cut_ms: int, spec: Spec) -> Credit:
    """A credit settled at a cut, if its label may still change (rule 8), and its end (rule 7)."""
    sample = placed.sample
    last_ms = cut_ms - spec.window.length_ms
    closed = max(sample.closes_ms(task), sample.cut_ms) <= last_ms
    withdrawn_ms = None if closed else _withdrawn(action, task, sample, cut_ms, spec)
    return Credit(action, task, sample, placed.tier, cut_ms, closed, withdrawn_ms)


def _withdrawn(action: Action, task: Task, sample: Sample, cut_ms: int, spec: Spec) -> int | None:
    """The cut at which the retraction acts, if the label was open or unpublished then."""
    fall = action.fall
    if fall is None:
        return None
    if fall.cut_ms < cut_ms:
        return cut_ms  # retracted before it could be credited: received and shown nowhere
    last_ms = fall.cut_ms - spec.window.length_ms
    is_open = sample.closes_ms(task) > max(fall.acts_from_ms, last_ms)
    return fall.cut_ms if is_open or sample.cut_ms >= fall.cut_ms else None


def in_order(credits: Iterable[Credit]) -> list[Credit]:
    """By (event time, event id)."""
    return sorted(credits, key=lambda c: (c.action.time_ms, c.action.event.event_id.encode()))


def shown_of(task: Task, standing: list[Credit]) -> Credit | None:
    """Rule 4: the credit that a label shows, of those that stand, in order."""
    if not standing:
        return None
    if task.value == "max":
        return max(standing, key=lambda credit: credit.value)
    return standing[-1] if task.value == "last" else standing[0]


def label_at(credits: Iterable[Credit], sample: Sample, task: Task, cut_ms: int) -> Label:
    """The label of one sample and task, of whose credits these are, at a cut."""
    if sample.domain not in task.domains:
        return Label()
    is_open = sample.closes_ms(task) > cut_ms
    standing = in_order(credit for credit in credits if credit.stands(cut_ms))
    shown = shown_of(task, standing)
    if shown is None:
        return Label(value=0.0, open=is_open)
    event = shown.action.event
    value = {"binary": 1.0, "sum": _total(standing)}.get(task.value, shown.value)
    return Label(value, shown.tier, event.event_id, event.time_ms, is_open)


def _total(standing: list[Credit]) -> float:
    """One after the other, as float64: the order matters."""
    total = 0.0
    for credit in standing:
        total += credit.value
    return total


def history(
    credits: list[Credit], sample: Sample, task: Task, last_cut_ms: int
) -> list[tuple[int, Label]]:
    """The label at the sample's own cut, then at each later one that changes it, to the last."""
    moments = {credit.cut_ms for credit in credits}
    moments |= {c.withdrawn_ms for c in credits if c.withdrawn_ms is not None}
    told = [(sample.cut_ms, label_at(credits, sample, task, sample.cut_ms))]
    for cut_ms in sorted(moments):
        if sample.cut_ms < cut_ms <= last_cut_ms:
            label = label_at(credits, sample, task, cut_ms)
            if label.differs(told[-1][1]):
                told.append((cut_ms, label))
    return told
