"""`millstream demo`: the whole loop on shipped real data, or on a simulated world."""

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.arguments import Subparsers, UsageError
from millstream.demo.place import BASELINE, MODEL

if TYPE_CHECKING:
    from millstream.demo.data import Data

WORLDS = ("demo", "tiny")


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("demo", help="the whole loop on shipped real data")
    parser.add_argument(
        "--world",
        choices=WORLDS,
        metavar="NAME",
        help=f"on a simulated world with a target domain instead: {', '.join(WORLDS)}",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        default=[MODEL],
        metavar="NAME",
        help=f"learn beside the plain {BASELINE} ({MODEL})",
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="where it works; run again to go on (default: demo, or demo-world-NAME)",
    )
    parser.add_argument("--ui", action="store_true", help="serve the MLflow UI of an earlier run")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo, or show what it left in MLflow."""
    work = args.work or Path(f"demo-world-{args.world}" if args.world else "demo")
    if args.ui:
        return _serve(work)
    for name in args.model:
        _check_model(name)
    from millstream.demo.run import run as run_demo

    print(run_demo(work, _data(args.world), args.model))
    return 0


def _check_model(name: str) -> None:
    """Raises UsageError for a model that does not exist, before anything is started."""
    from models import names
    from schemas.spec.table import near_match

    if name not in names():
        raise UsageError(
            f"--model: expected the name of a model, received {name!r}{near_match(name, names())}"
        )


def _data(world: str | None) -> "Data":
    if world is None:
        from millstream.demo.kuairand import kuairand

        return kuairand()
    from millstream.demo.world import simulated

    return simulated(world)


def _serve(work: Path) -> int:
    from millstream.demo.place import mlflow_of
    from millstream.local_mlflow import local_mlflow

    with local_mlflow(mlflow_of(work)) as uri:
        print(f"MLflow: {uri} (Ctrl-C ends it)", flush=True)
        signal.pause()
    return 0
