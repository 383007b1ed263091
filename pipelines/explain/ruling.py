"""The rules of time and labels, evaluated for one user and one item.

Every question that a rule asks is about one event and the cut that settles it, so no cut is
simulated: what is asked is what was known at that cut. The numbers of rules are those of
docs/labels.md.
"""

from dataclasses import dataclass

from pipelines.explain.credit import Action, Pair, domain_of, pair_of
from pipelines.explain.events import Feedback, Request, UserEvents
from pipelines.explain.labels import Credit, credited
from pipelines.explain.retract import Regrets, regrets
from pipelines.explain.samples import Sample, native_samples
from pipelines.explain.searchified import (
    Searchified,
    click_credits,
    fourth_tier,
    searchified,
    tasks_of,
)
from pipelines.explain.settle import Copies, settle
from schemas.spec import Spec


@dataclass(frozen=True)
class Ruling:
    """All that the rules say of one user and one item.

    `actions` is the living feedback on the item; `pair` holds the native samples and click flags.
    """

    spec: Spec
    item: str
    requests: Copies[Request]
    feedback: Copies[Feedback]
    actions: list[Action]
    pair: Pair
    regrets: Regrets
    searchified: Searchified
    credits: list[Credit]

    @property
    def samples(self) -> list[Sample]:
        """Native samples, then those that clicks made."""
        return [*self.pair.samples, *(made.sample for made in self.searchified.positives)]


def rule(spec: Spec, events: UserEvents, item: str) -> Ruling:
    """Evaluate rules 1 to 10 on a user's events, for the samples of one item."""
    # Rule 8: an exposure with `t ≤` the last cut does not exist for any rule.
    requests = settle(
        events.requests, lambda one: one.request_id, lambda last_ms: last_ms + 1, spec
    )
    feedback = settle(
        events.feedback,
        lambda event: (event.stream, event.event_id),
        lambda last_ms: last_ms - spec.memory_ms,
        spec,
    )
    told = regrets(events.retractions, feedback.living, spec)
    actions = [
        Action(
            one.event,
            one.cut_ms,
            one.late,
            domain_of(one.event, requests.living, spec),
            told.falls.get(one.event),
        )
        for one in feedback.living
        if one.event.item == item
    ]
    actions.sort(key=lambda action: (action.time_ms, action.event.event_id.encode()))
    pair = pair_of(spec, native_samples(requests.living, item, spec), actions)
    made = searchified(pair, actions)
    credits = [*_native(pair, actions), *_searchified(pair, actions, made)]
    return Ruling(spec, item, requests, feedback, actions, pair, told, made, credits)


def _native(pair: Pair, actions: list[Action]) -> list[Credit]:
    """Rules 1 to 3."""
    return [
        credited(action, task, placed, action.cut_ms, pair.spec)
        for action in actions
        for task in tasks_of(action, pair.spec)
        for placed in (pair.own(action, task), pair.far(action, task))
        if placed is not None
    ]


def _searchified(pair: Pair, actions: list[Action], made: Searchified) -> list[Credit]:
    """Rule 10: the clicks that made requests, and conversions that nobody else received."""
    credits = [
        credited(positive.click, task, placed, cut_ms, pair.spec)
        for positive in made.positives
        for task, placed, cut_ms in click_credits(positive, pair.spec)
    ]
    for action in actions:
        for task in tasks_of(action, pair.spec):
            placed = fourth_tier(action, task, made.positives, pair)
            if placed is not None:
                credits.append(credited(action, task, *placed, pair.spec))
    return credits
