"""`python -m infra.kafka`: a local broker until Ctrl-C."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from infra.kafka.broker import local_kafka
from schemas.errors import UserError


def main() -> int:
    """Start a broker, say where it is, stop it on Ctrl-C or SIGTERM; 1 if it does not start."""
    parser = argparse.ArgumentParser(prog="infra.kafka", description="A local Kafka broker.")
    parser.add_argument(
        "--port", type=int, default=9092, help="of the loopback, 0: any (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="keep its data here (default: nowhere)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            tempfile.TemporaryDirectory() as scratch,
            local_kafka(args.folder or Path(scratch) / "kafka", args.port) as broker,
        ):
            print(f"Kafka answers at {broker.address}; Ctrl-C stops it.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except UserError as error:
        print(f"infra.kafka: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
