"""`python -m pipelines.drivers.flink.workers`: a pool from which Flink's task managers take workers.

Beam has such a program, but its workers keep no state in memory between bundles.
"""

import argparse
import logging
import signal

from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

MEGABYTE = 1 << 20


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; ends the workers then."""
    parser = argparse.ArgumentParser(prog="pipelines.drivers.flink.workers", description=__doc__)
    parser.add_argument("--port", type=int, default=50_000, help="to listen on (%(default)s)")
    parser.add_argument(
        "--cache-mb",
        type=int,
        default=1024,
        help="state that each worker keeps in memory (%(default)s MB)",
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _, server = BeamFnExternalWorkerPoolServicer.start(
        use_process=True, port=args.port, state_cache_size=args.cache_mb * MEGABYTE
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        server.stop(0)


if __name__ == "__main__":
    main()
