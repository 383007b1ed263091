"""`python -m infra.flink`: a local cluster until Ctrl-C."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from infra.flink.cluster import Ports, local_flink
from schemas.errors import UserError


def main() -> int:
    """Start a cluster, say where it is, stop it on Ctrl-C or SIGTERM; 1 if it does not start."""
    parser = argparse.ArgumentParser(prog="infra.flink", description="A local Flink cluster.")
    parser.add_argument(
        "--port", type=int, default=8099, help="of the job server, 0: any (%(default)s)"
    )
    parser.add_argument(
        "--rest-port", type=int, default=8081, help="of the job manager, 0: any (%(default)s)"
    )
    args = parser.parse_args()
    named = {"job_server": args.port, "rest": args.rest_port}
    ports = Ports(**{name: port for name, port in named.items() if port})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="millstream-flink-") as folder,
            local_flink(Path(folder), ports) as cluster,
        ):
            print(
                f"Flink answers at {cluster.dashboard}, its job server at {cluster.endpoint}, its "
                f"workers at {cluster.pool}. Run a pipeline on it with\n"
                f"  --runner flink --flink-job-server {cluster.endpoint} --flink-rest "
                f"{cluster.dashboard} --flink-workers {cluster.pool}\nCtrl-C stops it.",
                flush=True,
            )
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except UserError as error:
        print(f"infra.flink: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
