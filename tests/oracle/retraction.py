"""Rule 7: a retraction lowers a click flag and withdraws the credits of its event."""

from tests.oracle.identity import identity_of
from tests.oracle.state import Arrival, Credit, Feedback, Retraction, State

Match = tuple[Retraction, Feedback]


def settle_retractions(state: State, arrivals: list[Arrival]) -> list[Retraction]:
    """The living retractions of a cut."""
    settled = [Retraction(arrival) for arrival in arrivals if arrival.kind == "retraction"]
    state.retractions.extend(settled)
    return settled


def match(
    state: State, retractions: list[Retraction], feedback: list[Feedback], cut_ms: int
) -> list[Match]:
    """Rule 7: pairs that meet at this cut, the later of the two cuts that settled them."""
    met = [
        (retraction, event)
        for retraction in state.retractions
        for event in state.feedback
        if retraction in retractions or event in feedback
        if cancels(state, retraction, event, cut_ms)
    ]
    for retraction, _ in met:
        retraction.matched = True
    return met


def cancels(state: State, retraction: Retraction, event: Feedback, cut_ms: int) -> bool:
    """Rule 7: it names the event, and "`t_e ≤ t_r + M`". Identity: what is forgotten at this
    cut, or is a dead letter, meets nothing."""
    named = retraction.arrival.fields
    remembered_from_ms = state.horizon_of_memory_ms(cut_ms)
    return (
        (named["user_id"], named["stream"], named["event_id"])
        == (event.user, event.stream, event.event_id)
        and not retraction.dead
        and retraction.arrival.time_ms >= remembered_from_ms
        and event.time_ms >= remembered_from_ms
        and event.time_ms <= retraction.arrival.time_ms + state.spec.memory_ms
    )


def acts_from_ms(retraction: Retraction, event: Feedback) -> int:
    """Rule 7: "It acts from `max(t_r, t_e)`"."""
    return max(retraction.arrival.time_ms, event.time_ms)


def lower_flags(state: State, matches: list[Match]) -> None:
    """Rule 7: "A click flag falls at that time in any case"; "the earliest one counts"."""
    for retraction, event in matches:
        for flag in state.flags:
            if flag.click is event:
                falls_ms = acts_from_ms(retraction, event)
                flag.falls_ms = falls_ms if flag.falls_ms is None else min(flag.falls_ms, falls_ms)


def withdraw(state: State, matches: list[Match], cut_ms: int) -> None:
    """Rule 7: it acts "on labels that are then still open or not yet published". Rule 8: else
    counts as `closed`, "once per event, on time or late"."""
    for retraction, event in matches:
        closed = False
        for credit in standing_credits(state, event):
            if reaches(state, retraction, credit, cut_ms):
                credit.withdrawn_cut_ms = cut_ms
                credit.withdrawn_late = retraction.arrival.late
            else:
                closed = True
        if closed:
            state.count("closed")
    state.retracted.extend(event for _, event in matches)


def standing_credits(state: State, event: Feedback) -> list[Credit]:
    return [c for c in state.credits if c.feedback is event and c.withdrawn_cut_ms is None]


def reaches(state: State, retraction: Retraction, credit: Credit, cut_ms: int) -> bool:
    """Rules 7 and 8: still open when it acts, or at the last cut if that is later; or not yet
    published before this cut."""
    last_cut_ms = cut_ms - state.spec.window.length_ms
    acting_ms = max(acts_from_ms(retraction, credit.feedback), last_cut_ms)
    task = credit.task
    open_until_ms = credit.sample.time_ms + task.horizon_ms + task.retraction_horizon_ms
    return open_until_ms > acting_ms or credit.sample.cut_ms >= cut_ms


def bury_unmatched(state: State, cut_ms: int) -> None:
    """Rule 7: "Without its event it is a dead letter `unmatched` once `t_r + M ≤` last cut".
    Identity: "A dead letter reserves no id"."""
    for retraction in unmatched(state):
        if retraction.arrival.time_ms + state.spec.memory_ms <= cut_ms:
            retraction.dead = True
            state.bury(retraction.arrival.event, "unmatched")
            del state.known[identity_of(state.spec, retraction.arrival.event)]


def unmatched(state: State) -> list[Retraction]:
    return [r for r in state.retractions if not r.matched and not r.dead]
