"""What a learner sees of a target domain's windows is what fastavro reads in their files."""

from typing import Any

import fastavro
import numpy as np
import pytest

from learner.batches import domain_index, user_batch
from models.batch import UserBatch
from models.layout import Layout
from schemas.errors import UserError
from schemas.labels import ORIGINS, QUERY_PATHS
from schemas.windows import PackedUsers, WindowStore, pack
from tests.pipeline.small_world import small_spec, small_world
from tests.pipeline.test_direct_driver import built

SPEC = small_spec()
LAYOUT = Layout.of(SPEC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    """The small world's windows, whole: one shard."""
    return built(tmp_path_factory.mktemp("batches"), small_world(12, requests=250), shards=1)


@pytest.fixture(scope="module")
def requests(store: WindowStore) -> list[dict[str, Any]]:
    """All requests as fastavro reads them, in the files' order."""
    found = []
    for manifest in store.windows():
        for file in sorted(store.folder(manifest.window_start_ms).glob("shard-*.avro")):
            with file.open("rb") as content:
                found += [one for user in fastavro.reader(content) for one in user["requests"]]
    return found


@pytest.fixture(scope="module")
def read(store: WindowStore) -> list[tuple[PackedUsers, UserBatch]]:
    """The same, packed, and as batches."""
    packed = [
        pack(users)
        for manifest in store.windows()
        for users in store.read_users(manifest.window_start_ms, SPEC, batch_users=7)
    ]
    return [(one, user_batch(one, LAYOUT)) for one in packed]


def test_packed_requests_say_what_they_were_made_of(
    requests: list[dict[str, Any]], read: list[tuple[PackedUsers, UserBatch]]
) -> None:
    sources = [name for packed, _ in read for name in packed.requests.source_request.to_pylist()]
    assert sources == [one["source_request"] for one in requests]
    assert None in sources and len(set(sources)) > 5
    for name in ("query_path", "query_score"):
        columns = [getattr(packed.requests, name) for packed, _ in read]
        valid = np.concatenate([column.valid for column in columns]).tolist()
        values = np.concatenate([column.values for column in columns]).tolist()
        told = [v if there else None for v, there in zip(values, valid, strict=True)]
        assert told == [one[name] for one in requests]


def test_batches_carry_domains_origins_probabilities_and_the_way_to_the_query(
    requests: list[dict[str, Any]], read: list[tuple[PackedUsers, UserBatch]]
) -> None:
    for name in ("domain", "origin_domain"):
        indices = [index for _, batch in read for index in getattr(batch, name).tolist()]
        assert [LAYOUT.domains[index] for index in indices] == [one[name] for one in requests]
    paths = [path for _, batch in read for path in batch.query_path.tolist()]
    assert paths == [-1 if one["query_path"] is None else one["query_path"] for one in requests]
    assert set(paths) == {-1, *range(len(QUERY_PATHS))}
    scores = [
        score if there else None
        for _, batch in read
        for score, there in zip(
            batch.query_score.values.tolist(), batch.query_score.present.tolist(), strict=True
        )
    ]
    expected = [one["query_score"] for one in requests]
    assert scores == [None if s is None else pytest.approx(s, rel=1e-6) for s in expected]
    origins = [origin for _, batch in read for origin in batch.origin.tolist()]
    assert origins == [code for one in requests for code in one["candidates"]["origin"]]
    assert set(origins) == set(range(len(ORIGINS)))
    chances = [p for _, batch in read for p in batch.probability.tolist()]
    kept = [p for one in requests for p in one["candidates"]["probability"]]
    assert chances == pytest.approx(kept, rel=1e-6)
    assert min(kept) < 1.0


def test_a_domain_that_the_spec_does_not_know_is_refused(
    read: list[tuple[PackedUsers, UserBatch]],
) -> None:
    with pytest.raises(UserError, match=r"requests\.domain: .*did you mean 'serch'"):
        domain_index(read[0][0].requests.domain, ("feed", "serch"))
