"""Why rules 2 and 3 placed an event where they did, and so not on another sample."""

from pipelines.explain.credit import Action, Placed
from pipelines.explain.ruling import Ruling
from pipelines.explain.samples import Sample
from pipelines.explain.words import when
from schemas.spec import Task


def why(action: Action, placed: Placed, ruling: Ruling) -> str:
    """Why this sample received an event by this tier."""
    sample, tier = placed.sample, placed.tier
    if tier == "direct":
        return f"it names request {sample.request_id!r} (rule 2)"
    if tier == "searchified":
        return _why_searchified(action, ruling)
    if tier == "in_domain":
        return (
            f"request {sample.request_id!r} is the latest of domain {sample.domain!r} that "
            f"{_was(sample, action, ruling)}{_named_in_vain(action)} (rule 2)"
        )
    whence = (
        "no request of its own domain exposed the item"
        if action.domain == sample.domain
        else f"it is foreign to {sample.domain!r}, being {_of_domain(action)}"
    )
    shown = {
        "clicked": f"exposed the item and was clicked{_standing_click(sample, action, ruling)}",
        "exposed": "exposed the item",
        "unexposed": "kept it unexposed, and none exposed it",
    }[tier]
    if tier == "exposed" and ruling.pair.is_conversion(action):
        shown += ", none being clicked"
    return (
        f"{whence}; request {sample.request_id!r} is the latest of {sample.domain!r} that {shown} "
        "(rule 3)"
    )


def _why_searchified(action: Action, ruling: Ruling) -> str:
    if any(made.click is action for made in ruling.searchified.positives):
        return "it is the click that made this request (rule 10)"
    return (
        "no native sample of the target domain received it, and this is the latest request made "
        "of a click on the item that stood then (rule 10, the fourth tier)"
    )


def why_elsewhere(action: Action, task: Task, sample: Sample, ruling: Ruling) -> tuple[str, str]:
    """Why an event within the horizon did not credit a native sample: a code and a sentence."""
    pair, target = ruling.pair, ruling.spec.target
    hierarchical = target is not None and target.hierarchical
    into_target = target is not None and sample.domain == target.domain
    if action.domain == sample.domain:
        own = pair.own(action, task)
        if own is not None:
            return _beaten(action, sample, own, ruling)
        if not pair.is_conversion(action):
            return "not_exposed", (
                f"a click of domain {sample.domain!r} credits exposed samples there, and this one "
                "is unexposed (rule 2)"
            )
    elif not into_target:
        return "other_domain", (
            f"it is {_of_domain(action)}, the sample of {sample.domain!r}: only samples of the "
            "target domain are credited with foreign events (rule 3)"
        )
    if not hierarchical:
        return "other_domain", (
            f"it is {_of_domain(action)}, and `hierarchical` is off in [target]: rule 3 credits "
            "nothing"
        )
    far = pair.far(action, task)
    assert far is not None
    return _beaten(action, sample, far, ruling)


def _beaten(action: Action, sample: Sample, placed: Placed, ruling: Ruling) -> tuple[str, str]:
    """Another sample received the event."""
    clicked = ruling.pair.is_conversion(action) and ruling.pair.is_clicked(placed.sample, action)
    if placed.tier == "direct":
        reason = "named_other"
    elif placed.sample.origin != sample.origin:
        reason = "other_exposed"
    elif clicked and not ruling.pair.is_clicked(sample, action):
        reason = "other_clicked"
    else:
        reason = "other_latest"
    text = (
        f"it went to request {placed.sample.request_id!r} of {when(placed.sample.time_ms)} by "
        f"{placed.tier}: {why(action, placed, ruling)}"
    )
    return reason, text + _fallen_clicks(sample, action, ruling)


def _was(sample: Sample, action: Action, ruling: Ruling) -> str:
    if not ruling.pair.is_conversion(action):
        return "exposed the item"
    if ruling.pair.is_clicked(sample, action):
        return f"was clicked{_standing_click(sample, action, ruling)}"
    return "exposed the item, none being clicked"


def _standing_click(sample: Sample, action: Action, ruling: Ruling) -> str:
    for flag in ruling.pair.clicks(sample, action):
        fall = flag.click.fall
        if fall is None or not fall.is_known(action.time_ms, action.cut_ms):
            return f" ({flag.click.event.stream} {flag.click.event.event_id!r})"
    return ""


def _fallen_clicks(sample: Sample, action: Action, ruling: Ruling) -> str:
    """Clicks on a sample that no longer counted when a conversion came."""
    if not ruling.pair.is_conversion(action):
        return ""
    fallen = [
        f"its {flag.click.event.stream} {flag.click.event.event_id!r} was retracted at "
        f"{when(flag.click.fall.acts_from_ms)}, before this event"
        for flag in ruling.pair.clicks(sample, action)
        if flag.click.fall is not None and flag.click.fall.is_known(action.time_ms, action.cut_ms)
    ]
    return "".join(f"; {text}" for text in fallen)


def _named_in_vain(action: Action) -> str:
    named = action.event.request_id
    if named is None:
        return ""
    return f"; the request that it names, {named!r}, offers no such sample"


def _of_domain(action: Action) -> str:
    return "without a domain" if action.domain is None else f"of domain {action.domain!r}"
