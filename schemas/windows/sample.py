"""One sample as a window shows it, and the revisions that later windows carry of it."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import StoreError
from schemas.hashing import hash_one
from schemas.labels import ORIGINS, QUERY_PATHS, TIERS
from schemas.windows.manifest import Manifest
from schemas.windows.store import WindowStore

Json = Mapping[str, Any]

_POSITIVE = "searchified_positive"

SHOWN = 10
"""So many items are named to a person who named none of them."""

COMPARED = 20_000
"""Among so many ids a near match is looked for."""


@dataclass(frozen=True)
class Label:
    """Rule 6: value (None: missing), tier, event id, event time, open."""

    value: float | None = None
    tier: str | None = None
    event_id: str | None = None
    time_ms: int | None = None
    open: bool = False

    @classmethod
    def of(cls, row: Json) -> Self:
        """From a record's columns."""
        tier = None if row["tier"] is None else TIERS[row["tier"]]
        return cls(row["value"], tier, row["event_id"], row["time_ms"], row["open"])

    def differs(self, other: Self) -> bool:
        """Rule 5: in value, tier, event id or event time; being open is no difference."""
        mine = (self.value, self.tier, self.event_id, self.time_ms)
        return mine != (other.value, other.tier, other.event_id, other.time_ms)


@dataclass(frozen=True)
class SealedSample:
    """A sample in its sealed window; `source_request` and on are of requests made of clicks."""

    manifest: Manifest
    user_id: str
    request_id: str
    time_ms: int
    scenario: str
    domain: str
    origin_domain: str
    query: str | None
    item_id: str
    origin: str
    position: int
    probability: float
    labels: Mapping[str, Label]
    source_request: str | None
    query_path: str | None
    query_score: float | None
    positive: str | None
    """The item whose click made the request."""


@dataclass(frozen=True)
class SealedRevision:
    """A revision and the manifest of the window that carries it."""

    manifest: Manifest
    task: str
    old: Label
    new: Label
    retraction: bool
    late: bool


def find_sample(
    store: WindowStore, start_ms: int, request_id: str, item_id: str, user_id: str | None = None
) -> SealedSample:
    """The sample of an item in a request of a window; `user_id` spares a look at every record.

    Raises StoreError, naming what is near, if the window, the user, the request or the item is
    not there, or if several users have a request of that id.
    """
    found = list(_requests(store, start_ms, request_id, user_id))
    if not found:
        raise _no_request(store, start_ms, request_id, user_id)
    holding = [one for one in found if item_id in one[1]["candidates"]["item_id"]]
    if not holding:
        raise _no_item(store, start_ms, found, item_id)
    if len(holding) > 1:
        users = ", ".join(sorted({repr(user) for user, _ in holding}))
        raise StoreError(
            f"{store.folder(start_ms)}: expected one request {request_id!r} with item "
            f"{item_id!r}, received {len(holding)}, of the users {users}. Name one with --user."
        )
    user, request = holding[0]
    return sample_of(store.manifest(start_ms), user, request, item_id)


def _requests(
    store: WindowStore, start_ms: int, request_id: str, user_id: str | None
) -> Iterator[tuple[str, Json]]:
    """Users and their requests of that id."""
    for batch in _batches(store, start_ms, user_id):
        requests = batch.column("requests")
        flat = requests.flatten()
        wanted = pc.indices_nonzero(pc.equal(flat.field("id"), request_id))
        owner = pc.list_parent_indices(requests).take(wanted)
        users = batch.column("user_id").take(owner).to_pylist()
        yield from zip(users, flat.take(wanted).to_pylist(), strict=True)


def _batches(store: WindowStore, start_ms: int, user_id: str | None) -> Iterable[pa.RecordBatch]:
    if user_id is None:
        return store.read_users(start_ms, None)
    record = store.read_user(start_ms, hash_one(user_id))
    if record is None:
        raise StoreError(
            f"{store.folder(start_ms)}: expected a record of user {user_id!r}, received none. The "
            "user has no request in this window; `millstream windows show` names users that have."
        )
    return [record]


def _no_request(
    store: WindowStore, start_ms: int, request_id: str, user_id: str | None
) -> StoreError:
    known: list[str] = []
    for batch in _batches(store, start_ms, user_id):
        known += batch.column("requests").flatten().field("id").to_pylist()
    whose = "" if user_id is None else f" of user {user_id!r}"
    return StoreError(
        f"{store.folder(start_ms)}: expected a request {request_id!r}{whose} in this window, "
        f"received none among {len(known)}{_near(request_id, known)}. A request is in the window "
        "that holds its time; one that came after the cut is a dead letter `late`."
    )


def _no_item(
    store: WindowStore, start_ms: int, found: list[tuple[str, Json]], item_id: str
) -> StoreError:
    request = found[0][1]
    items = [item for _, one in found for item in one["candidates"]["item_id"]]
    some = ", ".join([*items[:SHOWN], *(["…"] if len(items) > SHOWN else [])])
    hint = _near(item_id, items) or f" ({some})"
    return StoreError(
        f"{store.folder(start_ms)}: expected item {item_id!r} among the {len(items)} samples of "
        f"request {request['id']!r}, received none such{hint}. Samples are the exposed candidates "
        "and, in the target domain, those of the unexposed ones that rule 9 draws."
    )


def _near(word: str, known: list[str]) -> str:
    """A hint, unless there are so many words that looking at all of them takes long."""
    if len(known) > COMPARED:
        return ""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def sample_of(manifest: Manifest, user_id: str, request: Json, item_id: str) -> SealedSample:
    """The sample of an item in a request, as its record holds it."""
    held = request["candidates"]
    at = held["item_id"].index(item_id)
    origins = [ORIGINS[code] for code in held["origin"]]
    made = [
        item for item, origin in zip(held["item_id"], origins, strict=True) if origin == _POSITIVE
    ]
    path = request.get("query_path")
    return SealedSample(
        manifest=manifest,
        user_id=user_id,
        request_id=request["id"],
        time_ms=request["time_ms"],
        scenario=request["scenario"],
        domain=request["domain"],
        origin_domain=request["origin_domain"],
        query=request["query"],
        item_id=item_id,
        origin=origins[at],
        position=held["position"][at],
        probability=held["probability"][at],
        labels={
            task: Label.of({name: column[at] for name, column in columns.items()})
            for task, columns in held["labels"].items()
        },
        source_request=request.get("source_request"),
        query_path=None if path is None else QUERY_PATHS[path],
        query_score=request.get("query_score"),
        positive=made[0] if made else None,
    )


def revisions_of(store: WindowStore, sample: SealedSample, until_ms: int) -> list[SealedRevision]:
    """The revisions of a sample that windows with a cut up to `until_ms` carry, in order."""
    mine = (sample.user_id, sample.time_ms, sample.request_id, sample.item_id)
    found = []
    for manifest in store.windows():
        if sample.manifest.cut_ms < manifest.cut_ms <= until_ms:
            rows = store.read_user_revisions(manifest.window_start_ms, hash_one(sample.user_id))
            keys = ("user_id", "request_time_ms", "request_id", "item_id")
            for row in rows.to_pylist():
                if tuple(row[key] for key in keys) == mine:
                    found.append(revision_of(manifest, row))
    return found


def revision_of(manifest: Manifest, row: Json) -> SealedRevision:
    """A revision, as its row holds it."""
    names = ("value", "tier", "event_id", "time_ms", "open")
    old, new = (
        Label.of({name: row[f"{side}_{name}"] for name in names}) for side in ("old", "new")
    )
    return SealedRevision(manifest, row["task"], old, new, row["retraction"], row["late"])
