"""How soon the direct driver seals a window once its watermark can pass the cut, and how fast it
works off what has come meanwhile; events come from Kafka at half the capacity.

    python benchmarks/kafka_latency.py [--events 400000] [--windows 20] [--backlog-s 60]
"""

import tempfile
from pathlib import Path

from benchmarks.live.measure import Load, load_of, measure
from benchmarks.live.sides import Direct
from infra.jars import Missing
from infra.kafka import local_kafka

GOAL_S = 3.0


def main() -> None:
    """Measure and print the figures; they are skipped without Java or Maven."""
    load = load_of(__doc__, Load(events=400_000, windows=20, seconds=4.0, backlog_s=60.0))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="millstream-kafka-") as folder,
            local_kafka(Path(folder)) as broker,
        ):
            measure("kafka", Direct(broker.address), load, GOAL_S)
    except Missing as missing:
        print(f"SKIPPED kafka_seals_within_s {missing}", flush=True)


if __name__ == "__main__":
    main()
