"""The direct driver on a real broker: the windows are those of the files, to the byte."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.kafka import Broker
from pipelines.drivers.direct import run
from pipelines.drivers.direct.journal import Commit, Plan
from pipelines.drivers.direct.kafka_planner import KafkaPlanner
from pipelines.reports import Report
from pipelines.sources.kafka.source import KafkaSource
from pipelines.steps.step import NO_CUT
from schemas.errors import UserError
from schemas.spec import Spec
from schemas.windows import WindowStore
from tests.kafka_topics import send
from tests.pipeline.kafka_world import (
    Encode,
    as_containers,
    as_datums,
    as_json,
    kafka_settings,
    kafka_spec,
    mixed,
    prepared,
    publish,
)
from tests.pipeline.small_world import small_world
from tests.pipeline.test_bad_input import BAD, GOOD
from tests.pipeline.test_direct_driver import built, digests


@pytest.fixture
def spec(kafka: Broker) -> Spec:
    """A spec whose topics are there and empty."""
    spec = kafka_spec()
    prepared(kafka, spec)
    return spec


@pytest.mark.parametrize("encode", [as_json, as_datums, as_containers])
def test_windows_equal_those_of_the_files(
    kafka: Broker, spec: Spec, tmp_path: Path, encode: Encode
) -> None:
    events = small_world(2, requests=200)
    reference = built(tmp_path / "files", events, spec=spec)
    publish(kafka, spec, events, encode)
    summary = run(kafka_settings(kafka, spec, tmp_path / "kafka"))
    assert digests(WindowStore(tmp_path / "kafka" / "windows")) == digests(reference)
    assert len(digests(reference)) >= 12
    assert not [name for name in summary.totals if name.startswith("late/")]


def test_short_epochs_and_mixed_messages_change_no_byte(
    kafka: Broker, spec: Spec, tmp_path: Path
) -> None:
    events = small_world(3, requests=200)
    reference = built(tmp_path / "files", events, spec=spec)
    publish(kafka, spec, events, mixed)
    summary = run(kafka_settings(kafka, spec, tmp_path / "kafka", epoch_rows=150))
    assert digests(WindowStore(tmp_path / "kafka" / "windows")) == digests(reference)
    assert summary.epochs > 4


def test_once_waits_for_silence_and_a_later_run_goes_on(
    kafka: Broker, spec: Spec, tmp_path: Path
) -> None:
    events = small_world(4, requests=150)
    reference = built(tmp_path / "files", events, spec=spec)
    early = {s: [e for e in rows if e["time_ms"] < 60_000] for s, rows in events.items()}
    late = {s: [e for e in rows if e["time_ms"] >= 60_000] for s, rows in events.items()}
    publish(kafka, spec, early)
    settings = kafka_settings(kafka, spec, tmp_path / "kafka", final=False)
    first = run(settings)
    # The newest event is younger than 60 s, the slack is 2 s: the cut at 45 s is the last one.
    assert first.sealed == len([start for start in digests(reference) if start + 15_000 <= 55_000])
    assert run(settings).epochs == 0
    publish(kafka, spec, late)
    run(kafka_settings(kafka, spec, tmp_path / "kafka"))
    assert digests(WindowStore(tmp_path / "kafka" / "windows")) == digests(reference)


def test_broken_messages_of_every_sort_are_buried_and_counted(
    kafka: Broker, spec: Spec, tmp_path: Path
) -> None:
    events = small_world(5, requests=200)
    reference = built(tmp_path / "files", events, spec=spec)
    rng = random.Random(5)
    (whole,) = as_datums(spec, "click", events["click"][:1])
    (pack,) = as_containers(spec, "click", events["click"][:3])
    broken: dict[str, list[bytes | None]] = {
        **{reason: [text.encode()] for reason, text in BAD.items()},
        "too_long": [json.dumps(GOOD | {"user_id": "u" * 5_000}).encode()],
        "bad_utf8": [b'{"event_id": "\xff"}'],
        "bad_avro": [whole[:-1], whole + b"\x00", pack[:-20], b"Obj\x01"],
        "unknown_schema": [b"\xc3\x01" + bytes(8) + whole[10:]],
        "empty_message": [None, b""],
        "not_an_object": [b"[1]"],
    }
    bad = [(reason, value) for reason, values in broken.items() for value in values]
    rng.shuffle(bad)
    topic = spec.streams["click"].topic
    send(kafka, {topic: [value for _, value in bad[::2]]}, partition=1)
    publish(kafka, spec, events, mixed)
    send(kafka, {topic: [value for _, value in bad[1::2]]}, partition=1)
    summary = run(kafka_settings(kafka, spec, tmp_path / "kafka", epoch_rows=200))
    assert digests(WindowStore(tmp_path / "kafka" / "windows")) == digests(reference)
    dead = {r: summary.totals[f"dead/click/{r}"] for r in broken}
    assert dead == {reason: len(values) for reason, values in broken.items()}
    letters = pq.read_table(tmp_path / "kafka" / "windows" / "dead_letters").to_pylist()
    buried = [one for one in letters if one["reason"] in broken]
    assert {one["source"] for one in buried} == {f"{topic}/1"}
    first = sorted((one["position"], one["reason"]) for one in buried)[: len(bad[::2])]
    assert first == [(at, reason) for at, (reason, _) in enumerate(bad[::2])]
    raw = {one["position"]: one["raw"] for one in buried}
    for at, (_, value) in enumerate(bad[::2]):
        assert raw[at] == (value or b"") or value == pack[:-20]
    accepted = sum(n for name, n in summary.totals.items() if name.startswith("accepted/"))
    assert accepted == sum(len(rows) for rows in events.values())


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


def click(time_ms: int) -> bytes:
    fields = {"event_id": f"e{time_ms}", "user_id": "u", "item_id": "i", "time_ms": time_ms}
    return json.dumps(fields).encode()


def took(commit: Commit, plan: Plan | None, newest_ms: dict[str, int]) -> Commit:
    """The commit after a plan whose newest accepted events were these."""
    assert plan is not None
    return commit.after(plan, Report(Counter(), newest_ms=newest_ms))


def test_a_partition_holds_the_watermark_until_it_was_silent_for_long_enough(
    kafka: Broker, spec: Spec
) -> None:
    """Slack 2 s, idle 500 ms; windows of 10 s are cut 5 s after their end."""
    topic, clock = spec.streams["click"].topic, Clock()
    source = KafkaSource(kafka.address, spec)
    planner = KafkaPlanner(spec, source, 1_000, once=False, final=False)
    send(kafka, {topic: [click(50_000)]}, partition=0)
    send(kafka, {topic: [click(28_000)]}, partition=1)
    first = planner.next(Commit(), clock)
    assert first is not None and first.watermark_ms is None
    assert [(one.name, one.start, one.stop) for one in first.ranges] == [
        (f"{topic}/0", 0, 1), (f"{topic}/1", 0, 1)
    ]  # fmt: skip
    assert len(first.active) == 15
    commit = took(Commit(), first, {f"{topic}/0": 50_000, f"{topic}/1": 28_000})
    clock.now_ms += 499
    assert planner.next(commit, clock) is None  # thirteen partitions never said anything
    assert planner.pause_s(commit, clock) == 0.001
    clock.now_ms += 1
    silent = planner.next(commit, clock)
    assert silent is not None and silent.ranges == ()
    assert (silent.watermark_ms, silent.cut) == (48_000, 45_000)  # all are: the furthest counts
    send(kafka, {topic: [click(31_000)]}, partition=1)
    heard = planner.next(commit, clock)
    assert heard is not None and (heard.watermark_ms, heard.cut) == (26_000, 25_000)
    assert heard.active == (f"{topic}/1",)
    commit = took(commit, heard, {f"{topic}/1": 31_000})
    clock.now_ms += 499
    assert planner.next(commit, clock) is None
    source.link.restored_s = clock.now_ms / 1_000  # the cluster was away until now
    clock.now_ms += 499
    assert planner.next(commit, clock) is None
    clock.now_ms += 1
    again = planner.next(commit, clock)
    assert again is not None and again.cut == 45_000
    source.close()


def test_what_comes_while_others_are_asked_is_not_passed_by(kafka: Broker, spec: Spec) -> None:
    """Others have reached 50 s, and by then our silent partition holds an event of 31 s."""
    topic, clock = spec.streams["click"].topic, Clock()
    source = KafkaSource(kafka.address, spec)

    def others_ms(now_ms: int) -> int:
        send(kafka, {topic: [click(31_000)]}, partition=0)
        return 50_000

    planner = KafkaPlanner(
        spec, source, 1_000, once=False, final=False, others_ms=others_ms,
        mine=lambda partition: partition.name == f"{topic}/0",
    )  # fmt: skip
    assert planner.next(Commit(), clock) is None
    clock.now_ms += 500
    assert planner.next(Commit(), clock) is None  # ours are silent: from now on others count
    heard = planner.next(Commit(), clock)
    assert heard is not None and (heard.watermark_ms, heard.cut) == (None, NO_CUT)
    assert [(one.name, one.stop) for one in heard.ranges] == [(f"{topic}/0", 1)]
    source.close()


def test_a_cut_does_not_wait_for_a_few_events_to_be_read(kafka: Broker, spec: Spec) -> None:
    """Slack 2 s; windows of 10 s are cut 5 s after their end. All other partitions are idle."""
    topic, clock = spec.streams["click"].topic, Clock()
    source = KafkaSource(kafka.address, spec)
    planner = KafkaPlanner(spec, source, 1_000, once=False, final=False, current_rows=3)
    send(kafka, {topic: [click(28_000)]}, partition=0)
    first = planner.next(Commit(), clock)
    commit = took(Commit(), first, {f"{topic}/0": 28_000})
    clock.now_ms += 1_000
    send(kafka, {topic: [click(38_000), click(38_001), click(38_002)]}, partition=0)
    seals = planner.next(commit, clock)
    assert seals is not None and (seals.ranges, seals.cut) == ((), 25_000)
    assert seals.active == (f"{topic}/0",)
    reads = planner.next(took(commit, seals, {}), clock)
    assert reads is not None and (reads.ranges[0].stop, reads.cut) == (4, 25_000)
    send(kafka, {topic: [click(38_003)]}, partition=0)  # four: they are read all the same
    both = planner.next(commit, clock)
    assert both is not None and (both.ranges[0].stop, both.cut) == (5, 25_000)
    source.close()


def test_what_lags_behind_in_time_is_read_first(kafka: Broker, spec: Spec) -> None:
    topic = spec.streams["click"].topic
    source = KafkaSource(kafka.address, spec)
    planner = KafkaPlanner(spec, source, 100, once=True, final=False)
    for partition, first_ms in ((0, 0), (1, 50_000), (2, 9_000)):
        values = [click(first_ms + at) for at in range(400)]
        send(kafka, {topic: values}, partition=partition)
    commit = Commit()
    plan = planner.next(commit, Clock())
    assert plan is not None and len(plan.ranges) >= 1
    newest = {f"{topic}/0": 100, f"{topic}/1": 50_100, f"{topic}/2": 9_100}
    commit = Commit(newest_by_partition_ms=newest, active_ms=dict.fromkeys(newest, 1))
    chosen = planner.next(commit, Clock())
    assert chosen is not None
    assert {one.name for one in chosen.ranges} <= {f"{topic}/0", f"{topic}/2"}
    source.close()


def test_a_deleted_topic_and_a_state_of_other_files_are_refused(
    kafka: Broker, spec: Spec, tmp_path: Path
) -> None:
    events = small_world(6, requests=20)
    built(tmp_path, events, spec=spec, final=False)
    with pytest.raises(UserError, match="expected all that was read before, received nothing of"):
        run(kafka_settings(kafka, spec, tmp_path))


def test_a_missing_topic_is_refused_by_a_run_that_does_not_wait(
    kafka: Broker, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="expected a topic '.*' for stream 'buy'"):
        run(kafka_settings(kafka, kafka_spec(), tmp_path))


def test_a_cluster_that_never_answered_is_told_in_one_paragraph(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"source": "kafka://127.0.0.1:1", "contact_s": 0.5}
    with pytest.raises(UserError, match=r"kafka://127\.0\.0\.1:1: expected an answer within"):
        run(kafka_settings(Broker(tmp_path, 1), kafka_spec(), tmp_path, **settings))
