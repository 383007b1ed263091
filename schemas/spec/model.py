"""The stream spec as frozen dataclasses: one product's streams, labels, features and sequences.

All durations are milliseconds. Streams, domains, scenarios, tasks and features stand in order of
their names: nothing depends on their order in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.spec.source import Source

StreamKind = Literal["exposure", "click", "conversion", "item", "retraction"]
FeatureOwner = Literal["user", "context", "query", "item", "cross"]
FeatureType = Literal["id", "ids", "number"]
LabelValue = Literal["binary", "sum", "max", "last"]

Recipe = Literal["query_title_similarity"]

FEEDBACK_KINDS: tuple[StreamKind, ...] = ("click", "conversion")


@dataclass(frozen=True)
class Window:
    """Tumbling windows of request time; each is sealed at `end + maturity_ms`."""

    length_ms: int
    maturity_ms: int

    def start(self, time_ms: int) -> int:
        """Start of the window that holds `time_ms`."""
        return time_ms // self.length_ms * self.length_ms

    def cut(self, window_start_ms: int) -> int:
        """The time at which the window is sealed."""
        return window_start_ms + self.length_ms + self.maturity_ms

    def window_of_cut(self, cut_ms: int) -> int:
        """Start of the window whose cut this is."""
        return cut_ms - self.maturity_ms - self.length_ms

    def cut_at_or_after(self, time_ms: int) -> int:
        """The first cut `C ≥ time_ms`."""
        return -((self.maturity_ms - time_ms) // self.length_ms) * self.length_ms + self.maturity_ms

    def cut_at_or_before(self, time_ms: int) -> int:
        """The last cut `C ≤ time_ms`."""
        return (time_ms - self.maturity_ms) // self.length_ms * self.length_ms + self.maturity_ms


@dataclass(frozen=True)
class Time:
    """How far clocks and order may be off."""

    max_ahead_ms: int
    slack_ms: int
    idle_ms: int


@dataclass(frozen=True)
class Stream:
    """One named input stream."""

    name: str
    kind: StreamKind
    topic: str


@dataclass(frozen=True)
class Domain:
    """A group of scenarios that share a ranking problem."""

    name: str
    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """A label to predict: a feedback stream and a horizon."""

    name: str
    stream: str
    horizon_ms: int
    retraction_horizon_ms: int
    value: LabelValue
    domains: tuple[str, ...]


@dataclass(frozen=True)
class Feature:
    """A declared feature. `id` is one string, `ids` a list of strings, `number` a float64."""

    name: str
    owner: FeatureOwner
    type: FeatureType
    vocabulary: tuple[str, ...] = ()
    default: str | float | None = None
    table: str = ""
    """Embedding table; features of one table share their rows."""
    domains: tuple[str, ...] = ()
    """The domains that log it; none named: all."""
    recipe: Recipe | None = None
    """How a cross feature is computed again where another domain's request becomes the target's."""

    def is_logged_in(self, domain: str) -> bool:
        """Whether requests of a domain know this feature."""
        return not self.domains or domain in self.domains


@dataclass(frozen=True)
class Searchify:
    """Rule 10: how foreign clicks become requests of the target domain.

    An item's text is its title and the item features named in `text`; `encoder` embeds it.
    A negative's similarity to the positive is at least `floor`; queries are remembered for
    `query_memory` windows.
    """

    negatives: int
    floor: float
    query_memory: int
    text: tuple[str, ...] = ()
    encoder: str = "ngrams"


@dataclass(frozen=True)
class Target:
    """The domain that learns from the entire space: rules 3, 9 and 10.

    `hierarchical`: foreign feedback is credited to its samples. `unexposed`: how many unexposed
    candidates of a request are kept, chosen by a hash with `seed`.
    """

    domain: str
    hierarchical: bool = True
    unexposed: int = 0
    seed: int = 0
    searchify: Searchify | None = None


@dataclass(frozen=True)
class Sequences:
    """Which feedback streams are actions, how many are kept, and which item features they carry."""

    streams: tuple[str, ...]
    history: int
    recent: int
    features: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """A whole product. Raises nothing: `schemas.spec.load` checks before it builds one."""

    name: str
    window: Window
    time: Time
    streams: Mapping[str, Stream]
    domains: Mapping[str, Domain]
    tasks: Mapping[str, Task]
    features: Mapping[str, Feature]
    sequences: Sequences
    source: Source = field(default_factory=Source)
    target: Target | None = None
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    learner: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scenarios(self) -> tuple[str, ...]:
        """All scenarios, domain by domain."""
        return tuple(name for domain in self.domains.values() for name in domain.scenarios)

    def domain_of(self, scenario: str) -> str:
        """The domain of a known scenario. Raises KeyError for an unknown one."""
        for domain in self.domains.values():
            if scenario in domain.scenarios:
                return domain.name
        raise KeyError(scenario)

    def owned_by(self, *owners: FeatureOwner) -> tuple[Feature, ...]:
        """The features of these owners."""
        return tuple(f for f in self.features.values() if f.owner in owners)

    def of_kind(self, *kinds: StreamKind) -> tuple[Stream, ...]:
        """The streams of these kinds."""
        return tuple(s for s in self.streams.values() if s.kind in kinds)

    @property
    def feedback_streams(self) -> tuple[Stream, ...]:
        """Click and conversion streams."""
        return self.of_kind(*FEEDBACK_KINDS)

    @property
    def longest_horizon_ms(self) -> int:
        """The longest horizon of any task."""
        return max((task.horizon_ms for task in self.tasks.values()), default=0)

    @property
    def memory_ms(self) -> int:
        """M: how long ids, retractions and flags are remembered."""
        longest = max((task.retraction_horizon_ms for task in self.tasks.values()), default=0)
        return self.longest_horizon_ms + longest

    def stream_horizon_ms(self, stream: str) -> int | None:
        """The longest horizon of that stream's tasks; None without a task."""
        horizons = [task.horizon_ms for task in self.tasks.values() if task.stream == stream]
        return max(horizons, default=None)

    def valued_streams(self) -> frozenset[str]:
        """Streams whose events must carry a finite value, for some task adds or compares it."""
        return frozenset(t.stream for t in self.tasks.values() if t.value != "binary")
