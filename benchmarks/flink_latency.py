"""How soon Flink seals a window once its watermark can pass the cut, and how fast it works off
what has come meanwhile; events come from Kafka at half the capacity.

    python benchmarks/flink_latency.py [--events 200000] [--windows 20] [--backlog-s 60]
"""

import tempfile
from pathlib import Path

from benchmarks.live.measure import Load, load_of, measure
from benchmarks.live.sides import Flink
from benchmarks.on_flink.servers import servers

GOAL_S = 10.0


def main() -> None:
    """Measure and print the figures; they are skipped without Java or Maven."""
    load = load_of(__doc__, Load(events=200_000, windows=20, seconds=4.0, backlog_s=60.0))
    with (
        tempfile.TemporaryDirectory(prefix="millstream-flink-latency-") as folder,
        servers(Path(folder), "flink_seals_within_s") as both,
    ):
        measure("flink", Flink(both), load, GOAL_S)


if __name__ == "__main__":
    main()
