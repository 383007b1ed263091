"""`millstream demo`: the whole loop on shipped real data."""

import argparse
import signal
from pathlib import Path

from millstream.arguments import Subparsers


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("demo", help="the whole loop on shipped real data")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("demo"),
        metavar="DIR",
        help="where it works; run again to go on (%(default)s)",
    )
    parser.add_argument("--ui", action="store_true", help="serve the MLflow UI of an earlier run")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo, or show what it left in MLflow."""
    if args.ui:
        return _serve(args.work)
    from millstream.demo.run import run as run_demo

    print(run_demo(args.work))
    return 0


def _serve(work: Path) -> int:
    from millstream.demo.place import Place
    from millstream.local_mlflow import local_mlflow

    with local_mlflow(Place(work).mlflow) as uri:
        print(f"MLflow: {uri} (Ctrl-C ends it)", flush=True)
        signal.pause()
    return 0
