"""`python -m infra.mlflow`: a local MLflow server until Ctrl-C."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.mlflow.team import team_mlflow
from infra.processes import check_free
from millstream.local_mlflow import local_mlflow
from schemas.errors import UserError


def main() -> int:
    """Start a server, say where it is, stop it on Ctrl-C or SIGTERM; 1 if it does not start."""
    args = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory() as scratch, _server(args, Path(scratch)) as uri:
            print(f"MLflow answers at {uri}; Ctrl-C stops it.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except UserError as error:
        print(f"infra.mlflow: {error}", file=sys.stderr)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="infra.mlflow", description="A local MLflow server.")
    parser.add_argument(
        "--port", type=int, default=5000, help="of the loopback, 0: any (%(default)s)"
    )
    stores = parser.add_mutually_exclusive_group()
    stores.add_argument(
        "--folder", type=Path, help="keep its SQLite file and artifacts here (default: nowhere)"
    )
    stores.add_argument(
        "--team",
        action="store_true",
        help="on PostgreSQL and an object store, both new and gone at the end",
    )
    return parser.parse_args()


@contextmanager
def _server(args: argparse.Namespace, scratch: Path) -> Iterator[str]:
    if args.port:
        check_free(args.port)
    if args.team:
        with team_mlflow(scratch, args.port or None) as team:
            yield team.uri
    else:
        with local_mlflow(args.folder or scratch / "mlflow", args.port or None) as uri:
            yield uri


if __name__ == "__main__":
    sys.exit(main())
