"""The Flink driver on a real cluster and a real broker: the windows are those of all drivers."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from infra.flink import Cluster
from infra.kafka import Broker
from millstream import shipped
from millstream.cli import main
from pipelines.drivers.flink import run
from pipelines.replay import kuairand
from schemas.spec import Spec, load
from schemas.windows import WindowStore
from schemas.windows.manifest_file import read_build
from tests.kafka_topics import with_own_topics
from tests.pipeline.flink_world import (
    between,
    digests,
    direct,
    flink_settings,
    publish,
    tables_of,
    write_files,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
DAY_MS = 86_400_000


def simulated(folder: Path) -> tuple[Spec, dict[str, pa.Table]]:
    """The simulator's tiny world: a target domain, so all four steps."""
    words = ["simulate", "--world", "tiny", "--out", folder / "world", "--days", "1"]
    assert main([str(word) for word in words]) == 0
    return load(shipped.spec_file("simulated")), tables_of(folder / "world" / "events")


def two_days_of_kuairand(folder: Path) -> tuple[Spec, dict[str, pa.Table]]:
    """Real events, and no target domain: two of the steps."""
    spec = load(shipped.spec_file("kuairand"))
    tables = dict(kuairand.read(ROOT / "examples" / "kuairand", spec).streams)
    first_ms = min(t["time_ms"].to_numpy().min() for s, t in tables.items() if s == "exposure")
    return spec, between(tables, first_ms, first_ms + 2 * DAY_MS)


@pytest.mark.parametrize("world", [simulated, two_days_of_kuairand])
def test_files_kafka_and_flink_give_the_same_bytes(
    flink: Cluster,
    kafka: Broker,
    tmp_path: Path,
    world: Callable[[Path], tuple[Spec, dict[str, pa.Table]]],
) -> None:
    spec, tables = world(tmp_path)
    spec = with_own_topics(spec)
    write_files(tables, tmp_path / "events")
    publish(kafka, spec, tables)
    totals = direct(spec, tmp_path / "events", tmp_path / "files")
    direct(spec, f"kafka://{kafka.address}", tmp_path / "kafka")
    summary = run(flink_settings(flink, kafka, spec, tmp_path / "flink"))
    expected = digests(tmp_path / "files")
    assert len(expected) >= 5
    assert digests(tmp_path / "kafka") == expected
    assert digests(tmp_path / "flink") == expected
    assert summary.final and summary.sealed == len(expected)
    assert dict(summary.totals) == totals
    store = WindowStore(tmp_path / "flink" / "windows")
    assert [store.verify(start) for start in expected] == [[]] * len(expected)
    sealed = [read_build(store.folder(start)) for start in sorted(expected)]
    times_ms = [one.sealed_at_ms for one in sealed if one is not None]
    assert len(times_ms) == len(expected) and times_ms == sorted(times_ms)
