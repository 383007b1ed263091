"""Journeys through several domains: searched for, shown elsewhere, clicked and bought anywhere."""

from typing import Any, NamedTuple

from hypothesis import strategies as st

from schemas.spec import Spec

QUERIES = (None, "", "red", "Red Shoes", "red shoes", "hat", "blue hat", "shoes red")
"""Few words, so that similarities tie."""

Fields = dict[str, Any]


class Journey(NamedTuple):
    """What hangs on one request: a search by its user or another, a click and a conversion."""

    link: int
    search_ms: int
    asker: str | None
    showed: str | None
    query: str | None
    click_ms: int
    buy_ms: int
    bought_in: str | None
    searched_in: str
    carried: tuple[str, ...]

    def search(self, request: Fields) -> Fields:
        """A target-domain request that showed the same items, or another one alone."""
        candidates = request["candidates"]
        if self.showed is not None:
            candidates = [{**one, "item_id": self.showed} for one in candidates[:1]]
        return {
            **request,
            "request_id": f"j{self.link}",
            "time_ms": max(0, request["time_ms"] + self.search_ms),
            "user_id": self.asker or request["user_id"],
            "scenario": self.searched_in,
            "query": self.query,
            "candidates": candidates,
        }

    def feedback(self, request: Fields) -> list[tuple[str, Fields]]:
        """A click in the request's own domain and a conversion in any; none without an item."""
        candidates = request["candidates"]
        shown = [one["item_id"] for one in candidates if one["exposed"] or self.link == 0]
        if not shown:
            return []
        click = {
            "event_id": f"j{self.link % 5}",
            "user_id": request["user_id"],
            "time_ms": request["time_ms"] + self.click_ms,
            "item_id": shown[self.link % len(shown)],
            "scenario": request["scenario"],
            "request_id": None,
            "value": 1.0,
            **dict.fromkeys(self.carried),
        }
        bought_ms = click["time_ms"] + self.buy_ms
        buy = {**click, "time_ms": bought_ms, "scenario": self.bought_in}
        return [("click", click), ("buy", buy)]


def journeys(spec: Spec) -> st.SearchStrategy[list[Journey]]:
    """One to four; none without a target domain."""
    if spec.target is None:
        return st.just([])
    target = spec.domains[spec.target.domain].scenarios[0]
    length_ms = spec.window.length_ms
    one = st.builds(
        Journey,
        link=st.integers(0, 15),
        search_ms=st.sampled_from([-1, -2, -length_ms, -2 * length_ms, 1]),
        asker=st.sampled_from([None, None, None, "é", "v"]),
        showed=st.sampled_from([None, None, "b", "c"]),
        query=st.sampled_from(QUERIES),
        click_ms=st.sampled_from([0, 1, 1, 2, length_ms]),
        buy_ms=st.sampled_from([0, 1, 2, length_ms, 2 * length_ms, 3 * length_ms]),
        bought_in=st.sampled_from([None, target, *spec.scenarios]),
        searched_in=st.just(target),
        carried=st.just(spec.sequences.features),
    )
    return st.lists(one, min_size=1, max_size=4)
