"""Why an event counts for one sample's label, or why it does not: the rule, in a sentence."""

from dataclasses import dataclass
from typing import Literal

from pipelines.explain import placing
from pipelines.explain.credit import Action, Placed
from pipelines.explain.labels import Credit, in_order, shown_of
from pipelines.explain.ruling import Ruling
from pipelines.explain.samples import Sample
from pipelines.explain.searched import why_not_on_pseudo
from pipelines.explain.words import after, span, when
from schemas.spec import Task

Outcome = Literal["shown", "counted", "lost"]
"""A label shows one event; a `sum` counts others with it."""


@dataclass(frozen=True)
class Verdict:
    """What an event is to a label: a code for machines, a sentence for people."""

    outcome: Outcome
    reason: str
    text: str


@dataclass(frozen=True)
class Judge:
    """One sample's label, as things stand at the last cut."""

    ruling: Ruling
    sample: Sample
    task: Task
    last_cut_ms: int

    def verdict(self, action: Action) -> Verdict:
        """What a living event is to the label."""
        credit = next((c for c in self.credits if c.action is action), None)
        if max(action.cut_ms, credit.cut_ms if credit else 0) > self.last_cut_ms:
            return _lost("pending", self._pending(action, credit))
        if credit is not None:
            return self._credited(credit)
        return _lost(*self._why_not(action))

    @property
    def credits(self) -> list[Credit]:
        """The credits of this label, standing or not."""
        held = self.ruling.credits
        return [c for c in held if c.sample is self.sample and c.task is self.task]

    def _pending(self, action: Action, credit: Credit | None) -> str:
        cut_ms = credit.cut_ms if credit else action.cut_ms
        return f"it is settled at the cut of {when(cut_ms)}, which has not come yet"

    def _credited(self, credit: Credit) -> Verdict:
        why = placing.why(credit.action, Placed(credit.sample, credit.tier), self.ruling)
        if credit.closed:
            closed_ms = self.sample.closes_ms(self.task)
            return _lost(
                "closed",
                f"credited here by {credit.tier} ({why}), but read late, at the cut of "
                f"{when(credit.cut_ms)}: the label had been published and closed at "
                f"{when(closed_ms)} (rule 8)",
            )
        if not credit.stands(self.last_cut_ms):
            return _lost("retracted", self._withdrawn(credit, why))
        return self._standing(credit, f"{why}{self._also(credit)}")

    def _withdrawn(self, credit: Credit, why: str) -> str:
        assert credit.withdrawn_ms is not None
        return (
            f"credited here by {credit.tier} ({why}); withdrawn at the cut of "
            f"{when(credit.withdrawn_ms)} (rule 7)"
        )

    def _standing(self, credit: Credit, why: str) -> Verdict:
        standing = in_order(c for c in self.credits if c.stands(self.last_cut_ms))
        shown = shown_of(self.task, standing)
        assert shown is not None
        if credit is shown:
            return Verdict("shown", credit.tier, why)
        first = f"event {shown.action.event.event_id!r} of {when(shown.action.time_ms)}"
        if self.task.value == "sum":
            return Verdict("counted", credit.tier, f"{why}; it adds to the sum shown with {first}")
        reason, order = {
            "binary": ("not_first", "the first, which is"),
            "max": ("not_largest", "the largest, first among equals, which is"),
            "last": ("not_last", "the last, which is"),
        }[self.task.value]
        return _lost(
            reason,
            f"credited here by {credit.tier} ({why}), but the label shows {order} {first} (rule 4)",
        )

    def _also(self, credit: Credit) -> str:
        """Where the same event is credited besides: its own domain and the target, once each."""
        others = [
            f"request {c.sample.request_id!r} by {c.tier}"
            for c in self.ruling.credits
            if c.action is credit.action and c.task is self.task and c.sample is not self.sample
        ]
        return f"; it also credits {' and '.join(others)}" if others else ""

    def _why_not(self, action: Action) -> tuple[str, str]:
        if self.sample.domain not in self.task.domains:
            return "task_elsewhere", (
                f"task {self.task.name!r} does not name domain {self.sample.domain!r}: the label "
                "is missing"
            )
        if self.sample.origin == "searchified_negative":
            return "negative", "a negative's labels stay 0 (rule 10)"
        if self.sample not in self.ruling.pair.samples:
            return why_not_on_pseudo(action, self.task, self.sample, self.ruling)
        if action.time_ms < self.sample.time_ms:
            return "before_request", (
                f"{after(self.sample.time_ms, action.time_ms)} the request (rule 1)"
            )
        if not self.sample.is_within(action.time_ms, self.task.horizon_ms):
            return "outside_horizon", (
                f"{after(self.sample.time_ms, action.time_ms)} the request, past the horizon of "
                f"{span(self.task.horizon_ms)} (rule 1)"
            )
        return placing.why_elsewhere(action, self.task, self.sample, self.ruling)


def _lost(reason: str, text: str) -> Verdict:
    return Verdict("lost", reason, text)
