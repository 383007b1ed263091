"""`millstream replay DATASET`: a public data set as the event streams of its spec."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream import shipped
from millstream.arguments import Subparsers, add_json
from millstream.commands.publishing import add_target, check_target, publisher, summary_of
from schemas.spec import Spec, load

if TYPE_CHECKING:
    from pipelines.replay.writer import ReplaySummary

DATASETS = ("kuairand", "ranklens")


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("replay", help="a public data set as event streams")
    parser.add_argument(
        "dataset", choices=DATASETS, metavar="DATASET", help=f"one of {', '.join(DATASETS)}"
    )
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="its files")
    add_target(parser, "where event files go")
    parser.add_argument("--spec", type=Path, metavar="FILE", help="default: the shipped one")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier replay")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write or publish the events and print how many there are of each stream."""
    check_target(args)
    spec = load(args.spec or shipped.spec_file(args.dataset))
    summary = _publish(args, spec) if args.kafka else _write(args, spec)
    where = args.kafka or args.out
    print(json.dumps(asdict(summary), indent=2) if args.json else summary_text(where, summary))
    return 0


def _write(args: argparse.Namespace, spec: Spec) -> "ReplaySummary":
    replay: Callable[..., ReplaySummary] = _adapter(args.dataset).replay
    return replay(args.source, args.out, spec, file_format=args.format, overwrite=args.overwrite)


def _publish(args: argparse.Namespace, spec: Spec) -> "ReplaySummary":
    replayed = _adapter(args.dataset).read(args.source, spec)
    with publisher(args, spec) as opened:
        opened.publish(dict(replayed.streams))
        return summary_of(opened, replayed.notes)


def _adapter(dataset: str) -> Any:
    from pipelines.replay import kuairand, ranklens

    return {"kuairand": kuairand, "ranklens": ranklens}[dataset]


def summary_text(out: Path | str, summary: "ReplaySummary") -> str:
    """What was written where, for a person."""
    counts = [f"  {stream:<16} {count:>12,}" for stream, count in summary.counts.items()]
    first, last = (_moment(time) for time in (summary.first_time_ms, summary.last_time_ms))
    notes = [f"  note: {note}" for note in summary.notes]
    return "\n".join([f"{out}: events from {first} to {last}", *counts, *notes])


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
