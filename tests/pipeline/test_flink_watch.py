"""A job on Flink as an operator sees it: what its pages tell, and partitions that come."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from infra.flink import Cluster
from infra.kafka import Broker
from pipelines.drivers.flink.settings import FlinkSettings
from tests.kafka_topics import add_partitions
from tests.pipeline.flink_world import digests, direct
from tests.pipeline.kafka_world import kafka_spec, prepared
from tests.pipeline.small_world import small_world, write_json_lines
from tests.pipeline.test_flink_kill import PATIENCE_S, Pipeline, publish_part

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

OURS = ".millstream_"
"""Begins the names of our counters, after that of their stage; Flink allows no second dot."""


class Pages:
    """What the job manager says of the one job of a folder."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.ask = cluster.ask
        (job,) = (
            one["jid"]
            for one in self.ask("/jobs/overview")["jobs"]
            if one["name"] == name and one["state"] == "RUNNING"
        )
        self.place = f"/jobs/{job}"

    def completed_checkpoints(self) -> int:
        return int(self.ask(f"{self.place}/checkpoints")["counts"]["completed"])

    def restarts(self) -> list[int]:
        """Nothing before Flink has collected it."""
        return [int(m["value"]) for m in self.ask(f"{self.place}/metrics?get=numRestarts")]

    def watermarks_ms(self) -> dict[str, list[int]]:
        """By stage; Flink's own beginning of time where there is none yet."""
        told = {}
        for vertex in self._vertices():
            place = f"{self.place}/vertices/{vertex['id']}/watermarks"
            told[vertex["name"]] = [int(one["value"]) for one in self.ask(place)]
        return told

    def counters(self) -> dict[str, int]:
        """Ours, added up over all stages and their parts."""
        found: dict[str, int] = {}
        for vertex in self._vertices():
            place = f"{self.place}/vertices/{vertex['id']}/subtasks/metrics"
            for name in (m["id"] for m in self.ask(place) if OURS in m["id"]):
                (metric,) = self.ask(f"{place}?get={quote(name, safe='')}&agg=sum")
                found[name.rpartition(OURS)[2]] = int(metric["sum"])
        return found

    def _vertices(self) -> list[dict[str, Any]]:
        vertices: list[dict[str, Any]] = self.ask(self.place)["vertices"]
        return vertices


def eventually(condition: Callable[[], bool], tell: Callable[[], object]) -> None:
    """Flink collects what its pages show every few seconds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, tell()
        time.sleep(0.5)


def test_a_job_that_runs_tells_how_it_stands_and_finds_partitions_that_come(
    flink: Cluster, kafka: Broker, tmp_path: Path
) -> None:
    events, spec = small_world(23, requests=200), kafka_spec()
    prepared(kafka, spec)
    write_json_lines(events, tmp_path / "events")
    expected = direct(spec, tmp_path / "events", tmp_path / "whole")
    pipeline = Pipeline(flink, kafka, spec, tmp_path / "job")
    try:
        publish_part(kafka, spec, events, 0, 2)
        pipeline.start("--follow")
        pipeline.until_sealed(after_ms=40_000)
        pages = Pages(flink, name_of(pipeline))
        eventually(lambda: pages.completed_checkpoints() >= 1, pages.completed_checkpoints)
        eventually(lambda: pages.restarts() == [0], pages.restarts)
        eventually(lambda: reached(pages.watermarks_ms()) >= 40_000, pages.watermarks_ms)
        eventually(
            lambda: (
                pages.counters().get("accepted/click", 0) > 0
                and pages.counters().items() <= pipeline.totals().items()
            ),
            pages.counters,
        )
        for stream in spec.streams.values():
            add_partitions(kafka, stream.topic, 5)
        publish_part(kafka, spec, events, 1, 2, partitions=5)
        eventually(lambda: accepted(pipeline.totals()) == accepted(expected), pipeline.totals)
        pipeline.stop()
        pipeline.start("--final")
        assert pipeline.ended()[0] == 0
    finally:
        pipeline.kill()
    assert digests(pipeline.folder) == digests(tmp_path / "whole")


def test_a_window_does_not_wait_for_a_checkpoint(
    flink: Cluster, kafka: Broker, tmp_path: Path
) -> None:
    """Flink keeps the watermark until one if calls of the reader follow on each other at once."""
    events, spec = small_world(29, requests=200), kafka_spec()
    prepared(kafka, spec)
    publish_part(kafka, spec, events, 0, 2)
    pipeline = Pipeline(flink, kafka, spec, tmp_path / "job")
    try:
        pipeline.start("--follow", "--checkpoint-s", "3600")

        def sealed() -> bool:
            assert pipeline.runs(), pipeline.ended()
            return max(pipeline.sealed(), default=-1) >= 40_000

        eventually(sealed, pipeline.sealed)
        assert Pages(flink, name_of(pipeline)).completed_checkpoints() == 0
        pipeline.stop()
    finally:
        pipeline.kill()


def name_of(pipeline: Pipeline) -> str:
    """What the job of a pipeline is called."""
    unused: dict[str, Any] = {"source": "", "windows": Path(), "job_server": "", "rest": ""}
    settings = FlinkSettings(spec=pipeline.spec, state=pipeline.folder / "state", **unused)
    return settings.job_name


def reached(watermarks_ms: dict[str, list[int]]) -> int:
    """The least over the stages behind the one that reads, and over their parts."""
    behind = [parts for name, parts in watermarks_ms.items() if "windows" in name]
    assert behind, watermarks_ms
    return min(one for parts in behind for one in parts)


def accepted(totals: dict[str, int]) -> dict[str, int]:
    return {name: n for name, n in totals.items() if name.startswith("accepted/")}
