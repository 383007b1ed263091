"""The loop over a schedule, and over cuts one by one."""

from schemas.spec import Spec
from tests.oracle.catalogue import settle_items
from tests.oracle.credit import credit, settle_feedback
from tests.oracle.fourth_tier import credit_clicks, credit_conversions
from tests.oracle.identity import settle_identities
from tests.oracle.kept import kept_samples
from tests.oracle.own_domain import raise_flag
from tests.oracle.publication import publish, revise
from tests.oracle.reading import read
from tests.oracle.received import count_unreceived
from tests.oracle.retraction import (
    bury_unmatched,
    lower_flags,
    match,
    settle_retractions,
    unmatched,
    withdraw,
)
from tests.oracle.schedule import Outcome, Read, Schedule, Seal
from tests.oracle.searchify import link_foreign_clicks, searchify
from tests.oracle.similarity import Encoder, ngrams
from tests.oracle.state import Arrival, Feedback, State
from tests.oracle.validation import distinct_candidates


def run(spec: Spec, schedule: Schedule, encode: Encoder = ngrams) -> Outcome:
    """All that this schedule of reads and seals gives; `encode` embeds titles and queries.

    Raises ValueError for a seal off the grid of cuts, and for a step after `SealAll`.
    """
    state = State(spec, encode)
    for step in schedule:
        if state.complete:
            raise ValueError(f"expected nothing after SealAll, received {step!r}")
        if isinstance(step, Read):
            read(state, step)
        elif isinstance(step, Seal):
            seal(state, step.cut_ms)
        else:
            seal_all(state)
    state.outcome.dead_letters.sort()
    return state.outcome


def seal(state: State, cut_ms: int) -> None:
    """Rule 8: "the last cut is the largest on the grid ≤ W"."""
    if state.spec.window.cut_at_or_after(cut_ms) != cut_ms:
        raise ValueError(f"expected a cut of the grid, received {cut_ms}")
    while (due_cut_ms := next_cut(state)) is not None and due_cut_ms <= cut_ms:
        evaluate(state, due_cut_ms)
    if state.last_cut_ms is None or state.last_cut_ms < cut_ms:
        state.last_cut_ms = cut_ms


def seal_all(state: State) -> None:
    """Section 5: "the input is declared complete (W = ∞): all that holds something is
    sealed"."""
    while holds_something(state):
        due_cut_ms = next_cut(state)
        assert due_cut_ms is not None
        evaluate(state, due_cut_ms)
    state.complete = True


def next_cut(state: State) -> int | None:
    """The cut after the last; the first one is the lowest that settles an event."""
    if state.last_cut_ms is not None:
        return state.last_cut_ms + state.spec.window.length_ms
    return min((arrival.settle_cut_ms for arrival in state.waiting), default=None)


def holds_something(state: State) -> bool:
    """Events to settle, windows to seal, events to count or retractions without their event."""
    unsealed = any(is_unsealed(state, request) for request in state.requests)
    return bool(state.waiting or unsealed or state.unreceived or unmatched(state))


def is_unsealed(state: State, request: Arrival) -> bool:
    window = state.spec.window
    cut_ms = window.cut(window.start(request.time_ms))
    return state.last_cut_ms is None or cut_ms > state.last_cut_ms


def evaluate(state: State, cut_ms: int) -> None:
    """One cut: settle what was read for it, then publish what follows from it.

    Clicks raise their flags and retractions lower them before conversions are placed, for a
    credit follows "from what was read with `t ≤ C`, as of `t_e`".
    """
    arrivals = settle_identities(state, cut_ms)
    settle_items(state, arrivals)
    settle_requests(state, arrivals)
    feedback = settle_feedback(state, arrivals)
    retractions = settle_retractions(state, arrivals)
    for event in feedback:
        raise_flag(state, event, cut_ms)
    matches = match(state, retractions, feedback, cut_ms)
    lower_flags(state, matches)
    for event in feedback:
        credit(state, event, cut_ms)
    enter_the_target(state, feedback, cut_ms)
    withdraw(state, matches, cut_ms)
    count_unreceived(state, cut_ms)
    revise(state, cut_ms)
    publish(state, cut_ms)
    bury_unmatched(state, cut_ms)
    state.last_cut_ms = cut_ms


def enter_the_target(state: State, feedback: list[Feedback], cut_ms: int) -> None:
    """Rule 10: foreign clicks become pseudo-requests, whose positives are credited."""
    link_foreign_clicks(state, feedback, cut_ms)
    made = searchify(state, cut_ms)
    credit_clicks(state, made, cut_ms)
    credit_conversions(state, cut_ms)


def settle_requests(state: State, arrivals: list[Arrival]) -> None:
    """The living requests of a cut, and their kept samples."""
    for arrival in arrivals:
        if arrival.kind == "exposure":
            count_repeated_items(state, arrival)
            state.requests.append(arrival)
            state.samples.extend(kept_samples(state.spec, arrival))


def count_repeated_items(state: State, arrival: Arrival) -> None:
    """Identity: "the rest count as `repeated_item`", once for each request that lives."""
    candidates = arrival.event.fields["candidates"]
    state.count("repeated_item", len(candidates) - len(distinct_candidates(arrival.event)))
