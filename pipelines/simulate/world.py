"""A world as frozen dataclasses: everything that decides what happens in it, but the seed's luck.

Rates are probabilities in [0, 1]; all durations are milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Policy = Literal["query", "interest", "seller"]

FEEDBACK = ("click", "cart", "conversion")
"""The feedback streams; a cart is what happens between a click and a conversion."""

DELAYS = (
    *FEEDBACK,
    "retraction",
    "remembered_click",
    "remembered_conversion",
    "late",
)
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Users:
    """Who visits: activity is log-normal, interests are one number for each category."""

    count: int
    requests_per_day: float
    activity_spread: float
    interest_spread: float
    drift: float
    """Share of an interest's variance that each day renews."""


@dataclass(frozen=True)
class Items:
    """What is on the shelves."""

    count: int
    categories: int
    intents_per_category: int
    sellers: int
    without_title: float
    changes_per_day: float
    """Changes of an entry, as a share of all items; each brings a new price."""
    retitled: float
    """Share of the changes that bring a new title too."""
    price_median: float
    price_spread: float


@dataclass(frozen=True)
class Texts:
    """Words of titles and queries."""

    words_per_category: int
    words_per_intent: int
    shared_words: int
    wordings: int
    """Query texts of each intent."""
    seen_once: float
    """Share of the queries that carry a word that no other query has."""


@dataclass(frozen=True)
class Domain:
    """A group of scenarios: which candidates it offers, how many it shows, how often one clicks."""

    name: str
    share: float
    """Weight among all requests."""
    policy: Policy
    scenarios: Mapping[str, float]
    """Weight of each among the domain's requests."""
    candidates: int
    exposed: tuple[int, int]
    """Least and most candidates that are shown."""
    position_bias: float
    """A candidate at position p is examined with probability `(1 + p) ** -position_bias`."""
    click: float
    """Attraction of an examined candidate of no relevance, interest or quality."""
    precision: float
    """Policy `query`: share of the candidates that are drawn from the query's own intent."""
    ranking_noise: float


@dataclass(frozen=True)
class Appeal:
    """Weights in the logit of a propensity."""

    relevance: float
    interest: float
    quality: float
    price: float
    """Of the logarithm of price over median; dear items convert less."""


@dataclass(frozen=True)
class Follow:
    """What follows a click."""

    cart: float
    conversion: float
    """Propensity for an item of no interest and quality at the median price."""


@dataclass(frozen=True)
class Journeys:
    """How often what was seen in the target domain is remembered and acted on in another one."""

    click_exposed: float
    """Times attraction, for a candidate that was shown and not clicked."""
    click_unexposed: float
    conversion_clicked: float
    """Times conversion propensity, for a candidate that was clicked."""
    conversion_exposed: float
    """Times attraction and conversion propensity."""
    conversion_unexposed: float
    named: float
    """Share of the visits that happen on a request of the other domain, which is named."""
    unnamed: float
    """Share that happens on such a request without naming it; the rest has no request at all."""
    uncaused: float
    """Foreign clicks out of nowhere, as a share of all requests."""


@dataclass(frozen=True)
class Delay:
    """A log-normal delay, capped."""

    median_ms: int
    spread: float
    """Standard deviation of its natural logarithm."""
    longest_ms: int


@dataclass(frozen=True)
class Faults:
    """What goes wrong on the way from a server to the stream."""

    missing_request_id: Mapping[str, float]
    """For each feedback stream."""
    missing_scenario: float
    unknown_scenario: float
    """Extra clicks that no validator accepts, as a share of all clicks."""
    duplicate: float
    moved_duplicate: float
    """Copies of the same id a moment later."""
    late: float
    disorder_ms: int
    """All but the late arrive within this of their event time."""


@dataclass(frozen=True)
class World:
    """A whole world. `pipelines.simulate.world_file.load` checks before it builds one."""

    name: str
    seed: int
    start_ms: int
    days: int
    slice_ms: int
    """Generated and written at once; divides a day."""
    target: str
    users: Users
    items: Items
    texts: Texts
    domains: Mapping[str, Domain]
    attraction: Appeal
    conversion: Appeal
    follow: Follow
    journeys: Journeys
    retractions: Mapping[str, float]
    """Share of each feedback stream's events that are taken back."""
    delays: Mapping[str, Delay]
    faults: Faults
    lookback_ms: int
    """How far back truth searches for rivals of a cause."""

    @property
    def end_ms(self) -> int:
        """The first moment without requests of their own."""
        return self.start_ms + self.days * DAY_MS

    @property
    def slices(self) -> int:
        """How many slices hold requests."""
        return self.days * DAY_MS // self.slice_ms

    @cached_property
    def domain_names(self) -> tuple[str, ...]:
        """Domains by number."""
        return tuple(self.domains)

    @property
    def target_number(self) -> int:
        """The target domain's number."""
        return self.domain_names.index(self.target)

    @cached_property
    def scenarios(self) -> tuple[str, ...]:
        """Scenarios by number."""
        return tuple(name for domain in self.domains.values() for name in domain.scenarios)

    @property
    def widest(self) -> int:
        """The most candidates of any domain."""
        return max(domain.candidates for domain in self.domains.values())

    @property
    def intents(self) -> int:
        """All intents; those of one category have consecutive numbers."""
        return self.items.categories * self.items.intents_per_category
