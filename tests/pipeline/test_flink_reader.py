"""The readers of the Flink driver on a real broker: shares, watermark, and who hears of a cut."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice

import pytest
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.runners.sdf_utils import (
    RestrictionTrackerView,
    ThreadsafeRestrictionTracker,
    ThreadsafeWatermarkEstimator,
)

from infra.kafka import Broker
from pipelines import packets
from pipelines.drivers.direct.journal import Commit
from pipelines.drivers.flink.cuts import DUE
from pipelines.drivers.flink.leg import Leg, LegTracker
from pipelines.drivers.flink.read import _Read
from pipelines.drivers.flink.reader import Portion, Reading, ShareReader
from pipelines.graph import REPORT
from pipelines.sources.kafka.source import KafkaSource
from pipelines.steps.step import FINAL_CUT
from schemas.spec import Spec
from tests.kafka_topics import create_topics, send
from tests.pipeline.kafka_world import kafka_spec, prepared, publish, topics_of
from tests.pipeline.small_world import small_world

SHARDS = 4
PATIENCE_S = 30


@pytest.fixture
def spec(kafka: Broker) -> Spec:
    """Topics of one partition each, soon idle: slack 2 s, windows of 10 s cut 5 s after."""
    spec = kafka_spec(idle_ms=1_000)
    create_topics(kafka, topics_of(spec), 1)
    return spec


def reading(broker: Broker, spec: Spec, readers: int) -> Reading:
    return Reading(spec, f"kafka://{broker.address}", SHARDS, readers, rows=10_000)


def portions(reader: ShareReader, commit: Commit) -> Iterator[Portion]:
    """What comes, for a while."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        portion = reader.next(commit)
        if portion is not None:
            commit = portion.commit
            yield portion


def click(time_ms: int, user: str = "u") -> bytes:
    fields = {"event_id": f"e{time_ms}", "user_id": user, "item_id": "i", "time_ms": time_ms}
    return json.dumps(fields).encode()


@pytest.mark.parametrize("readers", [1, 2, 5])
def test_all_partitions_are_dealt_out_and_each_is_read_by_one(
    kafka: Broker, spec: Spec, readers: int
) -> None:
    wide = kafka_spec()
    prepared(kafka, wide)
    one = reading(kafka, wide, readers)
    with closing(KafkaSource(one.address, wide)) as source:
        owners = [one.reader_of(partition) for partition in source.partitions()]
    assert set(owners) == set(range(readers))
    counts = [owners.count(number) for number in range(readers)]
    assert max(counts) - min(counts) <= 1


def test_readers_together_read_every_event_once(kafka: Broker, spec: Spec) -> None:
    wide, events = kafka_spec(), small_world(8, requests=60)
    prepared(kafka, wide)
    publish(kafka, wide, events)
    accepted = 0
    for number in range(2):
        with closing(ShareReader(reading(kafka, wide, 2), number, None)) as reader:
            for portion in portions(reader, Commit()):
                accepted += sum(
                    n for name, n in portion.report.counts.items() if name.startswith("accepted/")
                )
                if not portion.report.counts:
                    break  # it has fallen silent, and its watermark moves
    assert accepted == sum(len(rows) for rows in events.values())


def test_a_reader_whose_partitions_are_silent_follows_the_furthest_of_the_others(
    kafka: Broker, spec: Spec
) -> None:
    both = reading(kafka, spec, 2)
    with closing(KafkaSource(both.address, spec)) as source:
        owner = {p.topic: both.reader_of(p) for p in source.partitions()}
    topic = spec.streams["click"].topic
    send(kafka, {topic: [click(70_000), click(50_000)]})
    with closing(ShareReader(both, 1 - owner[topic], None)) as silent:
        portion = next(portions(silent, Commit()))
    assert portion.commit.newest_ms is None and portion.users == []
    assert portion.watermark_ms == 50_000 - 2_000  # the last message of the partition says it
    with closing(ShareReader(both, owner[topic], None)) as speaking:
        first, second = islice(portions(speaking, Commit()), 2)
    assert first.watermark_ms is None and first.commit.newest_ms == 70_000
    assert second.watermark_ms == 70_000 - 2_000  # all are silent: the furthest counts


def test_a_portion_s_watermark_counts_its_own_events_and_says_whether_more_waits(
    kafka: Broker, spec: Spec
) -> None:
    """All other partitions have fallen silent; slack is 2 s."""
    one_at_once = replace(reading(kafka, spec, 1), rows=1)
    with closing(ShareReader(one_at_once, 0, None)) as reader:
        assert reader.next(Commit()) is None
        time.sleep(1.1)
        send(kafka, {spec.streams["click"].topic: [click(50_000), click(70_000)]})
        first = next(portions(reader, Commit()))
        second = next(portions(reader, first.commit))
    assert (first.watermark_ms, first.more) == (48_000, True)
    assert (second.watermark_ms, second.more) == (68_000, False)


def test_a_call_ends_with_so_many_events_and_a_whole_second_s_rest(
    kafka: Broker, spec: Spec
) -> None:
    """Flink heeds whole seconds of the rest that is left when it hears of it."""
    clicks = [click(time_ms) for time_ms in range(1_000, 1_250)]
    send(kafka, {spec.streams["click"].topic: clicks})
    read, leg, given = _Read(replace(reading(kafka, spec, 1), rows=100), None), Leg(), []
    while sum(given) < len(clicks):
        tracker = ThreadsafeRestrictionTracker(LegTracker(leg))
        watermark = ThreadsafeWatermarkEstimator(ManualWatermarkEstimator(None))
        outputs = list(read.process(0, RestrictionTrackerView(tracker), watermark))
        reports = [one.value for one in outputs if getattr(one, "tag", None) == REPORT]
        given.append(sum(one.counts.get("accepted/click", 0) for one in reports))
        deferred = tracker.deferred_status()
        assert deferred is not None and deferred[1].micros // 1_000_000 == 1
        leg = deferred[0]
    read.teardown()
    assert max(given) <= 100 and len(given) >= 3


def test_every_shard_hears_of_the_cuts_that_time_has_passed(kafka: Broker, spec: Spec) -> None:
    topic = spec.streams["click"].topic
    send(kafka, {topic: [click(1_000), click(27_000)]})
    with closing(ShareReader(reading(kafka, spec, 1), 0, None)) as reader:
        first = next(portions(reader, Commit()))
        send(kafka, {topic: [click(28_000)]})
        second = next(p for p in portions(reader, first.commit) if p.users)
    cuts = {shard: _cuts(data) for shard, data in first.users}
    assert sorted(cuts) == list(range(SHARDS))
    (own,) = [shard for shard, data in first.users if len(packets.decode(data)) > 1]
    passed = [5_000, 15_000, 25_000]
    for shard, heard in cuts.items():
        assert heard == ([*passed, 35_000] if shard == own else passed) + [FINAL_CUT]
    assert [shard for shard, _ in second.users] == [own]  # no cut between 27 s and 28 s
    assert _cuts(second.users[0][1]) == [35_000, FINAL_CUT]


def _cuts(data: bytes) -> list[int]:
    cuts: list[int] = packets.decode(data)[DUE]["cut"].to_pylist()
    return cuts


def test_a_cluster_that_does_not_answer_is_waited_for_in_short_calls(spec: Spec) -> None:
    away = Reading(spec, "kafka://127.0.0.1:1", SHARDS, 1, rows=10)
    with closing(ShareReader(away, 0, None)) as reader:
        begun_s = time.monotonic()
        assert reader.next(Commit()) is None
        assert time.monotonic() - begun_s < PATIENCE_S
