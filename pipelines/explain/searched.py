"""Why an event did not count for a sample of a request that a click made: rule 10."""

from pipelines.explain.credit import Action
from pipelines.explain.placing import why
from pipelines.explain.ruling import Ruling
from pipelines.explain.samples import Sample
from pipelines.explain.searchified import Positive, fourth_tier, received_in_target
from pipelines.explain.words import after, span, when
from schemas.spec import Task

Why = tuple[str, str]
"""A code for machines and a sentence for people."""


def why_not_on_pseudo(action: Action, task: Task, sample: Sample, ruling: Ruling) -> Why:
    """Why an event is not on the positive of a pseudo-request."""
    [positive] = [made for made in ruling.searchified.positives if made.sample is sample]
    if not sample.is_within(action.time_ms, task.horizon_ms):
        return _out_of_reach(action, task, sample)
    if ruling.pair.is_conversion(action):
        return _conversion(action, task, positive, ruling)
    return _click(action, positive, ruling)


def _out_of_reach(action: Action, task: Task, sample: Sample) -> Why:
    told = f"{after(sample.time_ms, action.time_ms)} the source request"
    if action.time_ms < sample.time_ms:
        return "before_request", f"{told} (rule 1)"
    return "outside_horizon", f"{told}, past the horizon of {span(task.horizon_ms)} (rule 1)"


def _click(action: Action, positive: Positive, ruling: Ruling) -> Why:
    fate = ruling.searchified.fates[action]
    flag = next((f for f in ruling.pair.flags if f.click is action), None)
    if flag is not None and flag.sample is not positive.source and fate in ("made", "repeat"):
        return "other_source", (
            f"its source is request {flag.sample.request_id!r}: a request made of a click shows "
            "that click alone (rule 10)"
        )
    return fate, _FATES[fate]


_FATES = {
    "not_foreign": "only clicks of another domain than the target make such requests (rule 10)",
    "native": "rule 3 credited it to a native sample of the target domain, so it makes no request",
    "unlinked": "rule 2 credits it to no request, so it has no source (rule 10)",
    "after_cut": "it was settled after its source's window was sealed (rule 10)",
    "retracted": "it was retracted by the cut of its source's window (rule 10)",
    "repeat": "an earlier click had made the request; it shows that one alone (rule 10)",
}


def _conversion(action: Action, task: Task, positive: Positive, ruling: Ruling) -> Why:
    native = received_in_target(action, task, ruling.pair)
    if native is not None:
        return "received", (
            f"request {native.sample.request_id!r} of {when(native.sample.time_ms)} received it "
            f"by {native.tier}: {why(action, native, ruling)}"
        )
    click, fall = positive.click, positive.click.fall
    if action.time_ms < click.time_ms:
        return "before_click", f"before the click of {when(click.time_ms)} that made the request"
    placed = fourth_tier(action, task, ruling.searchified.positives, ruling.pair)
    if placed is None or (fall is not None and fall.is_known(action.time_ms, placed[1])):
        assert fall is not None
        return "click_retracted", (
            f"the click that made the request was retracted at {when(fall.acts_from_ms)}, before "
            "this event (rule 10)"
        )
    other, cut_ms = placed[0].sample, placed[1]
    went = f"it went to request {other.request_id!r} of {when(other.time_ms)}"
    if positive.sample.cut_ms > cut_ms:
        return "settled_before", (
            f"{went} at the cut of {when(cut_ms)}, when this request was not made yet (rule 10)"
        )
    return "other_latest", f"{went}, the latest made of a click that stood then (rule 10)"
