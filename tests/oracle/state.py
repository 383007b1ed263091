"""What the oracle has settled so far. Facts are told apart by being themselves, not by value."""

from dataclasses import dataclass, field
from typing import Any

from schemas.spec import Spec, StreamKind, Task
from tests.oracle.schedule import Event, Outcome
from tests.oracle.similarity import Encoder

Identity = tuple[str | int, ...]


@dataclass(frozen=True, eq=False)
class Arrival:
    """A valid event that waits for its cut, or was settled at it."""

    event: Event
    kind: StreamKind
    time_ms: int
    late: bool
    settle_cut_ms: int

    @property
    def fields(self) -> dict[str, Any]:
        return self.event.fields

    @property
    def user(self) -> str:
        return str(self.fields["user_id"])

    @property
    def stream(self) -> str:
        return self.event.stream


@dataclass(frozen=True, eq=False)
class Sample:
    """A kept candidate of an accepted request: exposed, or chosen by rule 9."""

    request: Arrival
    candidate: dict[str, Any]
    user: str
    request_id: str
    item: str
    time_ms: int
    domain: str
    window_start_ms: int
    cut_ms: int
    origin: str = "exposed"
    probability: float = 1.0
    pseudo_of: tuple[str, str] | None = None
    """Of a pseudo-sample: source request id and clicked item of its pseudo-request."""


@dataclass(frozen=True, eq=False)
class Feedback:
    """A settled feedback event and its domain, if it has one."""

    arrival: Arrival
    domain: str | None

    @property
    def user(self) -> str:
        return self.arrival.user

    @property
    def stream(self) -> str:
        return self.arrival.stream

    @property
    def time_ms(self) -> int:
        return self.arrival.time_ms

    @property
    def item(self) -> str:
        return str(self.arrival.fields["item_id"])

    @property
    def event_id(self) -> str:
        return str(self.arrival.fields["event_id"])

    @property
    def value(self) -> float:
        return float(self.arrival.fields["value"])


@dataclass(eq=False)
class Retraction:
    """A settled retraction; `matched` once it has found its event, `dead` once it is unmatched."""

    arrival: Arrival
    matched: bool = False
    dead: bool = False


@dataclass(eq=False)
class Flag:
    """`sample` is clicked by `click` from its time on, until `falls_ms`."""

    sample: Sample
    click: Feedback
    falls_ms: int | None = None


@dataclass(eq=False)
class Credit:
    """`feedback` counts for the label of `sample` under `task`, until it is withdrawn."""

    sample: Sample
    task: Task
    feedback: Feedback
    tier: str
    settled_cut_ms: int
    withdrawn_cut_ms: int | None = None
    withdrawn_late: bool = False


@dataclass(frozen=True, eq=False)
class Unreceived:
    """An (event, task) that no sample received; it is counted at `due_cut_ms`."""

    feedback: Feedback
    task: Task
    due_cut_ms: int


@dataclass(frozen=True)
class Query:
    """A query and how a pseudo-request came by it; None is *missing*."""

    text: str | None
    path: str
    score: float | None


@dataclass(frozen=True, eq=False)
class PseudoRequest:
    """Rule 10: a request of the target domain, made of a foreign click on `click.sample`."""

    click: Flag
    positive: Sample
    negatives: list[Sample]
    query: Query

    @property
    def source(self) -> Arrival:
        return self.positive.request

    @property
    def samples(self) -> list[Sample]:
        return [self.positive, *self.negatives]


@dataclass(frozen=True)
class Label:
    """Rule 6. A label is: value, tier, event id, event time, open. Value None is *missing*."""

    value: float | None = None
    tier: str | None = None
    event_id: str | None = None
    time_ms: int | None = None
    open: bool = False


@dataclass
class State:
    """Everything that was read, settled and published."""

    spec: Spec
    encode: Encoder
    last_cut_ms: int | None = None
    complete: bool = False
    waiting: list[Arrival] = field(default_factory=list)
    known: dict[Identity, int] = field(default_factory=dict)
    items: list[Arrival] = field(default_factory=list)
    requests: list[Arrival] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    retractions: list[Retraction] = field(default_factory=list)
    retracted: list[Feedback] = field(default_factory=list)
    """What met its retraction at an earlier cut."""
    flags: list[Flag] = field(default_factory=list)
    linked: list[Flag] = field(default_factory=list)
    """Foreign clicks with a source, which may become pseudo-requests at its window's cut."""
    pseudo_requests: list[PseudoRequest] = field(default_factory=list)
    credits: list[Credit] = field(default_factory=list)
    """What labels are made of."""
    received: list[Credit] = field(default_factory=list)
    """Everything that was placed: the credits, and what came too late for its label."""
    closed: list[Feedback] = field(default_factory=list)
    unreceived: list[Unreceived] = field(default_factory=list)
    published: dict[tuple[Sample, str], Label] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def all_samples(self) -> list[Sample]:
        """Native ones and pseudo-samples."""
        return [*self.samples, *(s for pseudo in self.pseudo_requests for s in pseudo.samples)]

    def count(self, name: str, times: int = 1) -> None:
        if times:
            self.outcome.counters[name] += times

    def bury(self, event: Event, reason: str) -> None:
        self.outcome.dead_letters.append((event.stream, event.source, event.row, reason))

    def horizon_of_memory_ms(self, cut_ms: int) -> int:
        """Identity: "at a cut, ids, retractions and flags with `t <` the cut before it − M are
        forgotten". The earliest time that is remembered while this cut is evaluated."""
        return cut_ms - self.spec.window.length_ms - self.spec.memory_ms
