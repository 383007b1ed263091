"""The same events in files and in topics, and the three ways from them to windows."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from infra.flink import Cluster
from infra.kafka import Broker
from pipelines.drivers.direct import DirectSettings
from pipelines.drivers.direct import run as run_direct
from pipelines.drivers.flink import FlinkSettings
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from schemas.spec import Spec
from schemas.windows import WindowStore

SHARDS = 4
PARTITIONS = 3
Tables = Mapping[str, pa.Table]


def tables_of(folder: Path) -> dict[str, pa.Table]:
    """Events by stream, in order of time, out of Parquet files."""
    return {
        stream.name: ds.dataset(stream, format="parquet").to_table().sort_by("time_ms")
        for stream in sorted(folder.iterdir())
    }


def between(tables: Tables, start_ms: int, stop_ms: int) -> dict[str, pa.Table]:
    """The events of `[start_ms, stop_ms)`."""
    inside = {}
    for stream, table in tables.items():
        after = pc.greater_equal(table["time_ms"], start_ms)
        inside[stream] = table.filter(pc.and_(after, pc.less(table["time_ms"], stop_ms)))
    return inside


def write_files(tables: Tables, folder: Path) -> None:
    """One file a stream."""
    for stream, table in tables.items():
        (folder / stream).mkdir(parents=True)
        pq.write_table(table, folder / stream / "0.parquet")


def publish(broker: Broker, spec: Spec, tables: Tables, pack: int | None = 500) -> None:
    """Into topics of three partitions, users and items together, in order of time."""
    publisher = Publisher(broker.address, Encoder(spec, "json", pack), Pace(None), PARTITIONS)
    publisher.open()
    with closing(publisher):
        publisher.publish({stream: table for stream, table in tables.items() if table.num_rows})


def direct(spec: Spec, source: Path | str, folder: Path, **changes: Any) -> dict[str, int]:
    """Windows in `folder/windows` by the direct driver; gives the totals."""
    settings = DirectSettings(
        spec, source, folder / "windows", folder / "state", shards=SHARDS, final=True
    )
    return dict(run_direct(replace(settings, **changes)).totals)


def flink_settings(
    cluster: Cluster, broker: Broker, spec: Spec, folder: Path, **changes: Any
) -> FlinkSettings:
    """A complete run over the topics into `folder/windows`."""
    settings = FlinkSettings(
        spec=spec,
        source=f"kafka://{broker.address}",
        windows=folder / "windows",
        state=folder / "state",
        job_server=cluster.endpoint,
        rest=cluster.dashboard,
        workers=cluster.pool,
        shards=SHARDS,
        checkpoint_s=2.0,
        final=True,
    )
    return replace(settings, **changes)


def digests(folder: Path) -> dict[int, str]:
    """Digests by window."""
    return {one.window_start_ms: one.digest for one in WindowStore(folder / "windows").windows()}


def without(totals: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    """Totals but for some."""
    left_out = set(names)
    return {name: count for name, count in totals.items() if name not in left_out}
