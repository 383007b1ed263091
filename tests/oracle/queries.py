"""Rule 10: the query of a pseudo-request."""

from tests.oracle.catalogue import title_before
from tests.oracle.own_domain import of_origin
from tests.oracle.similarity import similarity
from tests.oracle.state import Arrival, Query, Sample, State

NO_QUERY = Query(None, "none", None)


def resolve_query(state: State, positive: Sample) -> Query:
    """Rule 10: "(i) [...], else (ii) [...], else (iii) [...]; else the query is *missing*"."""
    asked = requests_with_a_query(state, positive)
    showed = [request for request in asked if exposed(state, request, positive.item)]
    own = [request for request in showed if request.user == positive.user]
    if own:
        return Query(latest_query(own), "own", 1.0)
    if showed:
        return most_frequent(showed)
    return nearest(state, positive, asked) or NO_QUERY


def requests_with_a_query(state: State, positive: Sample) -> list[Arrival]:
    """Rule 10: "Queries are those of target-domain requests of the windows
    `w - query_memory … w`, strictly before the source request"; "an empty query is none"."""
    spec = state.spec
    assert spec.target is not None and spec.target.searchify is not None
    memory_ms = spec.target.searchify.query_memory * spec.window.length_ms
    return [
        request
        for request in state.requests
        if spec.domain_of(request.fields["scenario"]) == spec.target.domain
        and request.fields.get("query")
        and spec.window.start(request.time_ms) >= positive.window_start_ms - memory_ms
        and request.time_ms < positive.time_ms
    ]


def exposed(state: State, request: Arrival, item: str) -> bool:
    samples = [sample for sample in state.samples if sample.request is request]
    return item in [sample.item for sample in of_origin("exposed", samples)]


def latest_query(requests: list[Arrival]) -> str:
    """Rule 1: "*Latest* always means the latest request time; ties go to the smaller request
    id"."""
    last = min(requests, key=lambda r: (-r.time_ms, r.fields["request_id"].encode()))
    return str(last.fields["query"])


def most_frequent(showed: list[Arrival]) -> Query:
    """Rule 10: "(ii) the query with most such requests of all users (ties: smaller)"; the score
    is its share among them."""
    queries = [str(request.fields["query"]) for request in showed]
    query = min(queries, key=lambda one: (-queries.count(one), one.encode()))
    return Query(query, "co_occurrence", queries.count(query) / len(queries))


def nearest(state: State, positive: Sample, asked: list[Arrival]) -> Query | None:
    """Rule 10: "(iii) the nearest, by title"; ties go to the smaller query, and only what is
    similar at all counts."""
    title = title_before(state, positive.item, positive.time_ms)
    if title is None:
        return None
    embedded = state.encode(title)
    scores = {
        query: similarity(state.encode(query), embedded)
        for query in {str(request.fields["query"]) for request in asked}
    }
    best = min(scores, key=lambda query: (-scores[query], query.encode()), default=None)
    return Query(best, "nearest", scores[best]) if best is not None and scores[best] > 0 else None
