"""Which foreign clicks become requests of the target domain, and what these are credited with:
rule 10, for one user and one item."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipelines.explain.credit import Action, Pair, Placed
from pipelines.explain.samples import Sample, latest
from schemas.hashing import hash_one
from schemas.spec import Searchify, Spec, Target, Task

TIER = "searchified"


@dataclass(frozen=True, eq=False)
class Positive:
    """A pseudo-request's clicked item, the click that made it, and where it was clicked."""

    sample: Sample
    click: Action
    source: Sample


@dataclass(frozen=True)
class Searchified:
    """What became of each click that might make a request, and the positives made."""

    fates: dict[Action, str]
    positives: list[Positive]


def searchified(pair: Pair, actions: Iterable[Action]) -> Searchified:
    """One request for each source, from its earliest click that stands at the source's cut.

    A click's fate: `not_foreign`, `native` (rule 3 credited it), `unlinked`, `after_cut`,
    `retracted`, `repeat` or `made`.
    """
    if searchify_of(pair.spec) is None:
        return Searchified({}, [])
    sources = {flag.click: flag.sample for flag in pair.flags}
    clicks = [a for a in actions if pair.spec.streams[a.event.stream].kind == "click"]
    fates: dict[Action, str] = {}
    positives: dict[Sample, Positive] = {}
    for click in sorted(clicks, key=_earliest):
        fates[click] = _fate(click, sources.get(click), positives, pair)
        if fates[click] == "made":
            source = sources[click]
            positives[source] = Positive(_positive(source, click, pair.spec), click, source)
    return Searchified(fates, list(positives.values()))


def searchify_of(spec: Spec) -> Searchify | None:
    """The settings of rule 10; None where it is off."""
    return None if spec.target is None else spec.target.searchify


def _earliest(click: Action) -> tuple[int, bytes, bytes]:
    return click.time_ms, click.event.stream.encode(), click.event.event_id.encode()


def _fate(click: Action, source: Sample | None, made: dict[Sample, Positive], pair: Pair) -> str:
    """The reasons in the order in which they are tried."""
    tasks = tasks_of(click, pair.spec)
    if not tasks or click.domain is None or click.domain == target_of(pair.spec).domain:
        return "not_foreign"
    if any(pair.far(click, task) is not None for task in tasks):
        return "native"
    if source is None:
        return "unlinked"
    if click.cut_ms > source.cut_ms:
        return "after_cut"
    if click.fall is not None and click.fall.is_known(source.cut_ms, source.cut_ms):
        return "retracted"
    return "repeat" if source in made else "made"


def target_of(spec: Spec) -> Target:
    """The target of a spec that has one."""
    assert spec.target is not None
    return spec.target


def tasks_of(action: Action, spec: Spec) -> list[Task]:
    """The tasks of an event's stream."""
    return [task for task in spec.tasks.values() if task.stream == action.event.stream]


def _positive(source: Sample, click: Action, spec: Spec) -> Sample:
    return replace(
        source,
        request_id=pseudo_id(source.request_id, click.event.item),
        domain=target_of(spec).domain,
        origin="searchified_positive",
        probability=1.0,
    )


def pseudo_id(source_request: str, item: str) -> str:
    """16 hexadecimal digits of the hash of (source request id, item id, `searchified`)."""
    return f"{hash_one(source_request, item, TIER) % 2**64:016x}"


def click_credits(positive: Positive, spec: Spec) -> list[tuple[Task, Placed, int]]:
    """The click on its positive, for each task for which rule 1 holds, from the source's cut on."""
    sample, click = positive.sample, positive.click
    return [
        (task, Placed(sample, TIER), sample.cut_ms)
        for task in tasks_of(click, spec)
        if sample.domain in task.domains and sample.is_within(click.time_ms, task.horizon_ms)
    ]


def fourth_tier(
    action: Action, task: Task, positives: Iterable[Positive], pair: Pair
) -> tuple[Placed, int] | None:
    """The positive that a conversion credits and the cut that settles this.

    That is the first cut at which one exists whose click stands when the conversion happens; of
    several the latest. None if a native sample of the target received the conversion.
    """
    spec = pair.spec
    if searchify_of(spec) is None or not pair.is_conversion(action):
        return None
    if target_of(spec).domain not in task.domains or received_in_target(action, task, pair):
        return None
    standing: dict[int, list[Sample]] = {}
    for positive in positives:
        cut_ms = max(action.cut_ms, positive.sample.cut_ms)
        if _stands(positive, action, task, cut_ms):
            standing.setdefault(cut_ms, []).append(positive.sample)
    if not standing:
        return None
    first_ms = min(standing)
    return Placed(latest(standing[first_ms]), TIER), first_ms


def received_in_target(action: Action, task: Task, pair: Pair) -> Placed | None:
    """The native target-domain sample that received an event, by rules 2 or 3."""
    own = pair.own(action, task)
    if own is not None and own.sample.domain == target_of(pair.spec).domain:
        return own
    return pair.far(action, task)


def _stands(positive: Positive, action: Action, task: Task, cut_ms: int) -> bool:
    click, fall = positive.click, positive.click.fall
    return (
        click.time_ms <= action.time_ms
        and positive.sample.is_within(action.time_ms, task.horizon_ms)
        and (fall is None or not fall.is_known(action.time_ms, cut_ms))
    )
