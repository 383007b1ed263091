"""The Kafka source on a real broker: ranges, gaps, deletion, outages, refusals."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from infra.kafka import Broker
from pipelines.sources.kafka.reader import Budget
from pipelines.sources.kafka.source import KafkaSource, Partition
from pipelines.sources.raw import Range
from pipelines.sources.source import Stopped
from pipelines.validate import validate
from schemas.errors import UserError
from schemas.spec import Spec
from tests.kafka_server import broker_in
from tests.kafka_topics import add_partitions, create_topics, send, with_own_topics
from tests.sources.test_kafka_messages import NOW_MS, SHOP, container, items, line

EVERYTHING = 10**9


@pytest.fixture
def spec() -> Spec:
    return with_own_topics(SHOP)


@pytest.fixture
def source(kafka: Broker, spec: Spec) -> Iterator[KafkaSource]:
    create_topics(kafka, [stream.topic for stream in spec.streams.values()])
    source = KafkaSource(f"kafka://{kafka.address}", spec)
    yield source
    source.close()


def topic(source: KafkaSource, stream: str = "item") -> str:
    return source.spec.streams[stream].topic


def items_of(source: KafkaSource) -> list[Partition]:
    return [partition for partition in source.partitions() if partition.stream == "item"]


def fetched(source: KafkaSource, start: int = 0, rows: int = EVERYTHING) -> Range:
    (partition,) = items_of(source)
    (one,) = source.fetch({partition: start}, Budget(rows, EVERYTHING, 60))
    return one


def read(source: KafkaSource, one: Range) -> tuple[list[str], list[int], list[tuple[int, str]]]:
    """Item ids, their positions, and (position, reason) of dead letters."""
    checked = validate(source.spec, "item", source.read_range(one), NOW_MS, one.name)
    dead = [checked.dead_letters[name].to_pylist() for name in ("position", "reason")]
    ids, positions = (checked.events[name].to_pylist() for name in ("item_id", "_position"))
    return ids, positions, list(zip(*dead, strict=True))


def test_partitions_are_found_by_topic_with_their_ends(kafka: Broker, source: KafkaSource) -> None:
    send(kafka, {topic(source): [line(row) for row in items(3)]})
    add_partitions(kafka, topic(source, "click"), 3)
    found = {(p.stream, p.number): p.end for p in source.partitions()}
    assert found == {("click", 0): 0, ("click", 1): 0, ("click", 2): 0, ("exposure", 0): 0,
                     ("item", 0): 3, ("order", 0): 0, ("refund", 0): 0}  # fmt: skip


def test_looking_at_the_partitions_again_and_again_does_not_rest_for_long(
    source: KafkaSource,
) -> None:
    """Left to itself the client rests for 100 ms before each of the two looks that it takes."""
    source.partitions()
    took_s = []
    for _ in range(10):
        begun_s = time.perf_counter()
        source.partitions()
        took_s.append(time.perf_counter() - begun_s)
    assert min(took_s) < 0.15


def test_a_partition_made_while_ends_are_asked_for_is_not_overlooked(
    kafka: Broker, source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its siblings' ends count what was written since, so its own has to be told as well."""
    consumer = source.link.attempt("connecting", lambda consumer: consumer)
    answer = consumer.end_offsets

    def made_before_the_answer(*asked: Any) -> Any:
        monkeypatch.setattr(consumer, "end_offsets", answer)
        add_partitions(kafka, topic(source), 2)
        for number in range(2):
            send(kafka, {topic(source): [line(row) for row in items(1)]}, partition=number)
        return answer(*asked)

    monkeypatch.setattr(consumer, "end_offsets", made_before_the_answer)
    assert [(one.number, one.end) for one in items_of(source)] == [(0, 1), (1, 1)]


def test_what_was_read_again_does_not_hold_up_what_is_read_next(
    kafka: Broker, source: KafkaSource
) -> None:
    """A run that was killed reads its epoch again, one partition after the other."""
    add_partitions(kafka, topic(source), 4)
    for number in range(4):
        send(kafka, {topic(source): [line(row) for row in items(9)]}, partition=number)
    for number in range(4):
        source.read_range(Range("item", f"{topic(source)}/{number}", 0, 2, 2, 0))
    starts = dict.fromkeys(items_of(source), 2)
    begun_s = time.monotonic()
    found = source.fetch(starts, Budget(EVERYTHING, EVERYTHING, 5))
    assert time.monotonic() - begun_s < 5
    assert [(one.start, one.stop) for one in found] == [(2, 9)] * 4


def test_nothing_is_read_beyond_the_ends_that_were_seen(kafka: Broker, source: KafkaSource) -> None:
    """What comes while others are read waits for the next look, and is not fetched again."""
    send(kafka, {topic(source): [line(row) for row in items(5)]})
    (early,) = items_of(source)
    send(kafka, {topic(source): [line(row) for row in items(4, 5)]})
    (one,) = source.fetch({early: 0}, Budget(EVERYTHING, EVERYTHING, 60))
    assert (one.start, one.stop) == (0, 5)
    assert read(source, one)[0] == [f"i{at}" for at in range(5)]
    rest = fetched(source, start=5)
    assert (rest.start, rest.stop) == (5, 9)
    assert read(source, rest)[0] == [f"i{at}" for at in range(5, 9)]


def test_a_budget_is_shared_by_all_partitions(kafka: Broker, source: KafkaSource) -> None:
    add_partitions(kafka, topic(source), 2)
    for number in range(2):
        send(kafka, {topic(source): [line(row) for row in items(30)]}, partition=number)
    starts = dict.fromkeys(items_of(source), 0)
    source.fetch(starts, Budget(1, EVERYTHING, 60))  # now both are likely to be at hand
    found = source.fetch(starts, Budget(20, EVERYTHING, 60))
    assert sum(one.stop - one.start for one in found) == 20


def test_a_range_gives_the_same_however_often_and_by_whomever_it_is_read(
    kafka: Broker, source: KafkaSource
) -> None:
    values = [line(row) for row in items(40)] + [container(items(20, 40)), b"broken"]
    send(kafka, {topic(source): values})
    one = fetched(source)
    assert (one.name, one.start, one.stop, one.rows_estimate) == (f"{topic(source)}/0", 0, 42, 61)
    at_hand = read(source, one)
    assert at_hand[0] == [f"i{at}" for at in range(60)]
    assert at_hand[2] == [(41, "bad_json")]
    other = KafkaSource(source.address, source.spec)
    assert read(source, one) == at_hand == read(other, one)
    part = Range("item", one.name, 7, 11, 4, 7)
    assert read(other, part) == read(source, part) == (["i7", "i8", "i9", "i10"], [7, 8, 9, 10], [])
    other.close()


def test_a_budget_ends_a_fetch_and_the_next_goes_on_without_a_gap(
    kafka: Broker, source: KafkaSource
) -> None:
    send(kafka, {topic(source): [container(items(500, at)) for at in range(0, 20_000, 500)]})
    (partition,) = items_of(source)
    start, found = 0, []
    while start < partition.end:
        (one,) = source.fetch({partition: start}, Budget(EVERYTHING, 1, 60))
        assert one.start == start
        found += read(source, one)[0]
        start = one.stop
    assert found == [f"i{at}" for at in range(20_000)]


def test_offsets_without_messages_are_part_of_a_range(kafka: Broker, source: KafkaSource) -> None:
    """Markers of transactions and what was aborted take offsets; nobody is to see either."""
    producer = KafkaProducer(bootstrap_servers=kafka.address, transactional_id=topic(source))
    producer.init_transactions()
    for at, keep in enumerate([True, False, True, False]):
        producer.begin_transaction()
        for row in items(5, 5 * at):
            producer.send(topic(source), line(row))
        producer.flush()
        (producer.commit_transaction if keep else producer.abort_transaction)()
    producer.begin_transaction()
    producer.send(topic(source), line(items(1, 99)[0]))
    producer.flush()
    deadline = time.monotonic() + 30
    while (end := items_of(source)[0].end) < 24 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert end == 24
    one = fetched(source)
    assert (one.start, one.stop) == (0, 24)
    ids = [f"i{at}" for at in (*range(5), *range(10, 15))]
    positions = [*range(5), *range(12, 17)]
    assert read(source, one) == read(source, one) == (ids, positions, [])
    gap = Range("item", one.name, 18, 24, 0, 18)
    assert read(source, gap) == ([], [], [])
    producer.abort_transaction()
    producer.close()


def test_what_was_deleted_before_it_was_read_is_a_dead_letter(
    kafka: Broker, source: KafkaSource
) -> None:
    send(kafka, {topic(source): [line(row) for row in items(10)]})
    one = fetched(source)
    admin = KafkaAdminClient(bootstrap_servers=kafka.address)
    admin.delete_records({TopicPartition(topic(source), 0): 4})
    admin.close()
    late = KafkaSource(source.address, source.spec)
    expected = [f"i{at}" for at in range(4, 10)], list(range(4, 10)), [(0, "deleted")]
    assert read(late, one) == expected
    assert read(late, fetched(late)) == expected
    assert read(late, Range("item", one.name, 1, 3, 2, 1)) == ([], [], [(1, "deleted")])
    late.close()


def test_a_topic_that_was_made_anew_is_refused(kafka: Broker, source: KafkaSource) -> None:
    send(kafka, {topic(source): [line(row) for row in items(3)]})
    with pytest.raises(UserError, match=r"/0: expected a partition that only grows, received one "
                       r"that ends at offset 3 where all before 8 was read"):  # fmt: skip
        source.read_range(Range("item", f"{topic(source)}/0", 8, 9, 1, 8))


def test_a_missing_topic_is_named_with_a_near_match(kafka: Broker, spec: Spec) -> None:
    other = with_own_topics(SHOP)
    named = {name: spec.streams[name].topic for name in spec.streams}
    create_topics(kafka, [name for stream, name in named.items() if stream != "click"])
    create_topics(kafka, [f"{named['click']}s"])
    source = KafkaSource(kafka.address, spec)
    told = str(source.missing(source.partitions()))
    assert f"expected a topic '{named['click']}' for stream 'click'" in told
    assert f"(did you mean '{named['click']}s'?)" in told
    assert "streams.click.topic" in told
    assert KafkaSource(kafka.address, other).partitions() == []
    source.close()


def test_streams_may_not_share_a_topic(spec: Spec) -> None:
    clicks = replace(spec.streams["click"], topic=spec.streams["order"].topic)
    streams = {**spec.streams, "click": clicks}
    with pytest.raises(UserError, match="a topic of its own for each stream, .* 'click' and 'ord"):
        KafkaSource("kafka://127.0.0.1:1", replace(spec, streams=streams))


@pytest.mark.parametrize("address", ["kafka://", "kafka://host", "kafka://a:1,b", "kafka://a:x"])
def test_an_address_that_is_none_is_refused(address: str, spec: Spec) -> None:
    with pytest.raises(UserError, match=r"expected kafka://HOST:PORT"):
        KafkaSource(address, spec)


def test_a_broker_that_goes_and_comes_again_is_waited_for(
    tmp_path: Path, spec: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    with broker_in(tmp_path) as broker:
        create_topics(broker, [stream.topic for stream in spec.streams.values()])
        source = KafkaSource(broker.address, spec, patience_s=0.1)
        source.link.request_s = 2.0
        send(broker, {topic(source): [line(row) for row in items(10)]})
        first = read(source, fetched(source))
        wanted = Range("item", f"{topic(source)}/0", 0, 10, 10, 0)
        broker.kill()
        with caplog.at_level(logging.WARNING, "pipelines"), ThreadPoolExecutor() as pool:
            again = pool.submit(read, source, wanted)
            with pytest.raises(TimeoutError):
                again.result(5)
            broker.start()
            found = again.result(60)
        assert found == first
        said = [one.getMessage() for one in caplog.records if one.name.startswith("pipelines")]
        assert len(said) == 2
        assert "does not answer while reading" in said[0] and "nothing is skipped" in said[0]
        assert said[1].endswith("answers again")
        assert time.time() - 30 < source.link.restored_s < time.time()
        source.close()


def test_waiting_ends_when_the_run_is_asked_to(spec: Spec) -> None:
    asked = threading.Event()
    source = KafkaSource("kafka://127.0.0.1:1", spec, stopped=asked.is_set)
    source.link.request_s = 1.0
    threading.Timer(2, asked.set).start()
    before = threading.active_count()
    with pytest.raises(Stopped):
        source.partitions()
    assert threading.active_count() <= before


def test_a_first_contact_that_fails_is_told_in_one_paragraph(spec: Spec) -> None:
    source = KafkaSource("kafka://127.0.0.1:1", spec, patience_s=1)
    source.link.request_s = 1.0
    with pytest.raises(UserError, match=r"kafka://127\.0\.0\.1:1: expected an answer within 1 s"):
        source.partitions()


def test_compressed_batches_are_read(kafka: Broker, source: KafkaSource) -> None:
    for codec in ("gzip", "zstd"):
        with KafkaProducer(bootstrap_servers=kafka.address, compression_type=codec) as producer:
            for row in items(50):
                producer.send(topic(source), line(row))
    assert len(read(source, fetched(source))[0]) == 100
