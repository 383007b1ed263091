"""Which native sample an event credits: rules 1 to 3, for one user and one item."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.explain.events import Feedback, Request
from pipelines.explain.retract import Fall
from pipelines.explain.samples import Sample, latest
from pipelines.explain.settle import Settled, reach_ms
from schemas.spec import Spec, Task


@dataclass(frozen=True, eq=False)
class Action:
    """Living feedback on the item: its settling cut, its domain, what retracts it."""

    event: Feedback
    cut_ms: int
    late: bool
    domain: str | None
    fall: Fall | None

    @property
    def time_ms(self) -> int:
        """When it happened."""
        return self.event.time_ms


@dataclass(frozen=True)
class Placed:
    """The sample that an event credits, and by which tier."""

    sample: Sample
    tier: str


@dataclass(frozen=True)
class Flag:
    """A click that makes a sample count as clicked, until it is retracted."""

    sample: Sample
    click: Action


@dataclass(frozen=True)
class Pair:
    """What rules 1 to 3 look at: native samples of the item, the clicks that flag them."""

    spec: Spec
    samples: list[Sample]
    flags: list[Flag]

    def is_conversion(self, action: Action) -> bool:
        """Whether an event's stream is of conversions."""
        return self.spec.streams[action.event.stream].kind == "conversion"

    def clicks(self, sample: Sample, action: Action) -> list[Flag]:
        """The flags on a sample that an event can see: remembered, raised by its time and cut."""
        oldest_ms = action.cut_ms - reach_ms(self.spec)
        return [
            flag
            for flag in self.flags
            if flag.sample is sample
            and flag.click.cut_ms <= action.cut_ms
            and oldest_ms <= flag.click.time_ms <= action.time_ms
        ]

    def is_clicked(self, sample: Sample, action: Action) -> bool:
        """Whether a click stands on a sample when an event happens."""
        falls = (flag.click.fall for flag in self.clicks(sample, action))
        return any(f is None or not f.is_known(action.time_ms, action.cut_ms) for f in falls)

    def own(self, action: Action, task: Task) -> Placed | None:
        """Rule 2, for a task that names the event's own domain."""
        if action.domain not in task.domains:
            return None
        return self.own_within(action, task.horizon_ms)

    def own_within(self, action: Action, horizon_ms: int) -> Placed | None:
        """Rule 2: a named request, else the latest; for conversions the latest clicked first."""
        shown = [
            sample
            for sample in self.samples
            if sample.origin == "exposed"
            and sample.domain == action.domain
            and sample.is_within(action.time_ms, horizon_ms)
        ]
        named = [sample for sample in shown if sample.request_id == action.event.request_id]
        if named:
            return Placed(latest(named), "direct")
        return _latest(self._clicked(shown, action) or shown, "in_domain")

    def far(self, action: Action, task: Task) -> Placed | None:
        """Rule 3: a target-domain sample for what is foreign to it, or has no place there."""
        target = self.spec.target
        if target is None or not target.hierarchical or target.domain not in task.domains:
            return None
        kept = [
            sample
            for sample in self.samples
            if sample.domain == target.domain and sample.is_within(action.time_ms, task.horizon_ms)
        ]
        hidden = _latest([s for s in kept if s.origin == "unexposed"], "unexposed")
        if action.domain == target.domain:
            homeless = self.is_conversion(action) and self.own(action, task) is None
            return hidden if homeless else None
        shown = [sample for sample in kept if sample.origin == "exposed"]
        clicked = _latest(self._clicked(shown, action), "clicked")
        return clicked or _latest(shown, "exposed") or hidden

    def _clicked(self, samples: list[Sample], action: Action) -> list[Sample]:
        """Only conversions ask which samples were clicked."""
        if not self.is_conversion(action):
            return []
        return [sample for sample in samples if self.is_clicked(sample, action)]


def _latest(samples: list[Sample], tier: str) -> Placed | None:
    return Placed(latest(samples), tier) if samples else None


def pair_of(spec: Spec, samples: list[Sample], actions: Iterable[Action]) -> Pair:
    """The pair with its flags: a click flags what rule 2 credits under its longest horizon."""
    bare = Pair(spec, samples, [])
    flags = []
    for action in actions:
        horizon_ms = spec.stream_horizon_ms(action.event.stream)
        if bare.is_conversion(action) or horizon_ms is None:
            continue
        placed = bare.own_within(action, horizon_ms)
        if placed is not None:
            flags.append(Flag(placed.sample, action))
    return Pair(spec, samples, flags)


def domain_of(event: Feedback, requests: Iterable[Settled[Request]], spec: Spec) -> str | None:
    """That of its scenario; without one, that of the request it names, if it is near enough."""
    if event.scenario is not None:
        return spec.domain_of(event.scenario)
    for one in requests:
        age_ms = event.time_ms - one.event.time_ms
        if one.event.request_id == event.request_id and 0 <= age_ms <= spec.longest_horizon_ms:
            return spec.domain_of(one.event.scenario)
    return None
