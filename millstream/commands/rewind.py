"""`millstream train rewind`: let a learner go on from a version that it registered."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.arguments import Subparsers, add_json
from schemas.errors import UserError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from learner.rewind import Rewind


def add_action(actions: Subparsers) -> None:
    """Declare the action."""
    parser = actions.add_parser("rewind", help="go on from a version's checkpoint")
    parser.add_argument(
        "--to", required=True, metavar="VERSION", help="a number or an alias of a version"
    )
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the learner's")
    parser.add_argument("--mlflow", required=True, metavar="URI", help="the MLflow server")
    parser.add_argument(
        "--name", metavar="MODEL", help="the registered model (default: the only one)"
    )
    windows = parser.add_mutually_exclusive_group()
    windows.add_argument(
        "--skip-windows",
        action="store_true",
        help="never learn the windows since that version (default)",
    )
    windows.add_argument("--keep-windows", action="store_true", help="learn them again")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rewind and say what is left behind."""
    from learner.promotion import resolved
    from learner.reach import reached, registered_name
    from learner.rewind import rewind

    with reached(args.mlflow) as client:
        name = registered_name(client, args.name)
        version = resolved(client, name, args.to)
        lineage = _lineage(client, name, version)
    done = rewind(args.state, lineage, skip=not args.keep_windows)
    print(json.dumps(asdict(done), indent=2) if args.json else _text(done, name, version))
    return 0


def _lineage(client: "MlflowClient", name: str, version: str) -> str:
    lineage = client.get_model_version(name, version).tags.get("lineage_id")
    if lineage is None:
        raise UserError(
            f"{name}, version {version}: expected a version that a learner registered, received "
            "one without the tag lineage_id. See `millstream models ls`."
        )
    return str(lineage)


def _text(done: "Rewind", name: str, version: str) -> str:
    from schemas.windows import window_name

    what = "skipped" if done.skipped else "to be learned again"
    lines = [
        f"the learner goes on from {name} version {version}: lineage {done.lineage[:12]}, "
        f"step {done.step}",
        f"windows since, {what}: {len(done.windows)}",
    ]
    return "\n".join([*lines, *(f"  {window_name(start)}" for start in done.windows)])
