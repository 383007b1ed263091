"""Items change slowly: what was known of one just before a moment."""

from tests.oracle.identity import digest
from tests.oracle.similarity import Vector, similarity
from tests.oracle.state import Arrival, State


def settle_items(state: State, arrivals: list[Arrival]) -> None:
    """The living item events of a cut. Rule 8: one "with `t ≤` the last cut acts from the next
    cut on"."""
    state.items.extend(arrival for arrival in arrivals if arrival.kind == "item")


def version_before(state: State, item: str, time_ms: int) -> Arrival | None:
    """Rule 10: the item's last event strictly before a moment, however old. Of two of one time
    (the first was forgotten when its copy came) the smaller digest."""
    versions = [
        version
        for version in state.items
        if version.fields["item_id"] == item and version.time_ms < time_ms
    ]
    return min(versions, key=lambda v: (-v.time_ms, digest(state.spec, v.event)), default=None)


def title_before(state: State, item: str, time_ms: int) -> str | None:
    """Rule 10: "the title is the item's last one strictly before it"."""
    version = version_before(state, item, time_ms)
    return None if version is None else version.fields["title"]


def text_before(state: State, item: str, time_ms: int) -> str | None:
    """The title and the features named in `text`. Without a title there is no text."""
    version = version_before(state, item, time_ms)
    if version is None or version.fields["title"] is None:
        return None
    assert state.spec.target is not None and state.spec.target.searchify is not None
    words = [version.fields["title"]]
    for name in state.spec.target.searchify.text:
        value = version.fields.get(name)
        words += [value] if isinstance(value, str) else value or []
    return " ".join(words)


def embedding_before(state: State, item: str, time_ms: int) -> Vector | None:
    """Rule 10: "an item without an embedding": one without a title."""
    text = text_before(state, item, time_ms)
    return None if text is None else state.encode(text)


def similarity_of_texts(state: State, one: str | None, other: str | None) -> float | None:
    """None if either is missing."""
    if one is None or other is None:
        return None
    return similarity(state.encode(one), state.encode(other))
