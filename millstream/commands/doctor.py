"""`millstream doctor`: what is installed, reachable, missing, and what to do about it."""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.arguments import Subparsers, add_json

if TYPE_CHECKING:
    from millstream.checks import Check

_MARKS = {True: "ok", False: "missing"}


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("doctor", help="what is installed, reachable, missing")
    parser.add_argument(
        "--mlflow",
        metavar="URI",
        default=os.environ.get("MLFLOW_TRACKING_URI"),
        help="also ask this tracking server (default: $MLFLOW_TRACKING_URI)",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every check; 1 if something that millstream cannot do without is missing."""
    found = diagnose(args.mlflow)
    if args.json:
        print(json.dumps({"checks": [asdict(check) for check in found]}, indent=2))
    else:
        print("\n".join(_line(check) for check in found))
    return 0 if all(check.ok or check.optional for check in found) else 1


def diagnose(mlflow_uri: str | None) -> "list[Check]":
    """All checks, in the order in which a person would mend them."""
    from millstream import checks

    found = [
        checks.python(),
        *checks.libraries("millstream"),
        checks.writable(Path.cwd()),
        checks.java(),
        checks.chromium(),
    ]
    if mlflow_uri:
        found.append(checks.mlflow_server(mlflow_uri))
    return found


def _line(check: "Check") -> str:
    mark = "optional" if check.optional and not check.ok else _MARKS[check.ok]
    remedy = "" if check.ok else f". {check.remedy}"
    return f"{mark:<9} {check.name:<16} {check.found}{remedy}"
