"""One user's events, an object each: what the rules are evaluated on to explain a label."""

from dataclasses import dataclass, field
from typing import TypeVar

UNREAD = "unread"
"""Why an event does not count that the pipeline has not read yet."""


@dataclass(frozen=True)
class Reading:
    """Where an event was read, and the last cut then (None: there was none yet).

    `digest` is the SHA-256 of its Avro datum, which decides between copies of one time. `refused`
    is why the pipeline did not take it in, where that does not follow from the event itself.
    """

    source: str
    position: int
    last_cut_ms: int | None
    digest: bytes
    refused: str | None = None


@dataclass(frozen=True)
class Candidate:
    """An item of a request, as it was logged."""

    item: str
    position: int
    exposed: bool


@dataclass(frozen=True, eq=False)
class Request:
    """An exposure: one ranked list."""

    request_id: str
    time_ms: int
    scenario: str
    query: str | None
    candidates: tuple[Candidate, ...]
    reading: Reading


@dataclass(frozen=True, eq=False)
class Feedback:
    """A click or a conversion."""

    stream: str
    event_id: str
    time_ms: int
    item: str
    scenario: str | None
    request_id: str | None
    value: float | None
    reading: Reading


@dataclass(frozen=True, eq=False)
class Retraction:
    """What cancels the feedback of that stream and id."""

    stream: str
    event_id: str
    time_ms: int
    reading: Reading


@dataclass(frozen=True, eq=False)
class Version:
    """What an item was from a time on; `text` is null without a title."""

    item: str
    time_ms: int
    text: str | None
    reading: Reading


Event = TypeVar("Event", Request, Feedback, Retraction, Version)


@dataclass(frozen=True)
class Unusable:
    """Feedback of the user on the item that is a dead letter for what it says."""

    stream: str
    source: str
    position: int
    reason: str
    field: str | None


@dataclass
class UserEvents:
    """All events of one user, and the versions of a few items."""

    user: str
    requests: list[Request] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    retractions: list[Retraction] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)

    @property
    def read(self) -> list[Request | Feedback | Retraction | Version]:
        """All usable events that the pipeline has read."""
        held: list[Request | Feedback | Retraction | Version] = [*self.requests, *self.feedback]
        held += [*self.retractions, *self.versions]
        return [event for event in held if event.reading.refused != UNREAD]
