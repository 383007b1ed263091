"""`millstream replay DATASET`: a public data set as the event streams of its spec."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from millstream import shipped
from millstream.arguments import Subparsers, add_json
from schemas.spec import load

if TYPE_CHECKING:
    from pipelines.replay.writer import ReplaySummary

DATASETS = ("kuairand", "ranklens")
FORMATS = ("parquet", "jsonl", "avro")


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("replay", help="a public data set as event streams")
    parser.add_argument(
        "dataset", choices=DATASETS, metavar="DATASET", help=f"one of {', '.join(DATASETS)}"
    )
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="its files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where events go")
    parser.add_argument(
        "--format", choices=FORMATS, default="parquet", help="of the event files (%(default)s)"
    )
    parser.add_argument("--spec", type=Path, metavar="FILE", help="default: the shipped one")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier replay")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the events and print how many there are of each stream."""
    spec = load(args.spec or shipped.spec_file(args.dataset))
    summary = _adapter(args.dataset)(
        args.source, args.out, spec, file_format=args.format, overwrite=args.overwrite
    )
    print(json.dumps(asdict(summary), indent=2) if args.json else summary_text(args.out, summary))
    return 0


def _adapter(dataset: str) -> "Callable[..., ReplaySummary]":
    from pipelines.replay import kuairand, ranklens

    return {"kuairand": kuairand.replay, "ranklens": ranklens.replay}[dataset]


def summary_text(out: Path, summary: "ReplaySummary") -> str:
    """What was written where, for a person."""
    counts = [f"  {stream:<16} {count:>12,}" for stream, count in summary.counts.items()]
    first, last = (_moment(time) for time in (summary.first_time_ms, summary.last_time_ms))
    notes = [f"  note: {note}" for note in summary.notes]
    return "\n".join([f"{out}: events from {first} to {last}", *counts, *notes])


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
