"""`millstream pipeline`: event streams to sealed windows."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from millstream import console
from millstream.arguments import Subparsers, add_json
from schemas.spec import load

if TYPE_CHECKING:
    from pipelines.drivers.direct import Summary


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("pipeline", help="event streams to sealed windows")
    parser.add_argument("--spec", type=Path, required=True, metavar="FILE", help="the stream spec")
    parser.add_argument(
        "--source",
        required=True,
        metavar="DIR|kafka://HOST:PORT",
        help="a folder per stream, or a cluster with a topic per stream",
    )
    parser.add_argument(
        "--windows", type=Path, required=True, metavar="DIR", help="the window store"
    )
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="the pipeline's state (default: WINDOWS.state)"
    )
    parser.add_argument("--shards", type=int, default=16, help="shards of users (%(default)s)")
    parser.add_argument(
        "--epoch-rows", type=int, default=600_000, help="rows read at once (%(default)s)"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="read what is there and stop (default)")
    mode.add_argument("--follow", action="store_true", help="keep looking for new events")
    parser.add_argument(
        "--final", action="store_true", help="the input is complete: seal all that holds something"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the direct driver and print what it sealed and counted."""
    from pipelines.drivers.direct import DirectSettings
    from pipelines.drivers.direct import run as run_direct

    settings = DirectSettings(
        spec=load(args.spec),
        source=args.source,
        windows=args.windows,
        state=args.state or args.windows.with_name(f"{args.windows.name}.state"),
        shards=args.shards,
        epoch_rows=args.epoch_rows,
        follow=args.follow,
        final=args.final,
    )
    with console.progress("pipeline", unit="events") as advance:
        summary = run_direct(settings, watch=lambda told: advance(told.rows))
    print(json.dumps(asdict(summary), indent=2) if args.json else _text(args.windows, summary))
    return 0


def _text(windows: Path, summary: "Summary") -> str:
    counts = [f"  {name:<32} {count:>12,}" for name, count in sorted(summary.totals.items())]
    state = "input complete" if summary.final else "waiting for more input"
    head = f"{windows}: {summary.sealed} windows sealed in {summary.epochs} epochs, {state}"
    return "\n".join([head, *counts])
