"""What `replay` and `simulate` share: options for Kafka, and a publisher made of them."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from millstream import console
from millstream.arguments import UsageError, count
from schemas.spec import Spec

if TYPE_CHECKING:
    from pipelines.publish.publisher import Publisher
    from pipelines.replay.writer import ReplaySummary

FILE_FORMATS = ("parquet", "jsonl", "avro")
MESSAGE_FORMATS = ("json", "avro")

_SPEED = re.compile(r"(\d+(?:\.\d+)?)x")


def add_target(parser: argparse.ArgumentParser, out: str) -> None:
    """Offer `--out` and `--kafka` and what belongs to them."""
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    parser.add_argument("--kafka", metavar="HOST:PORT", help="publish to the topics of the spec")
    parser.add_argument(
        "--format",
        choices=sorted({*FILE_FORMATS, *MESSAGE_FORMATS}),
        help="of files: parquet (default), jsonl, avro; of messages: json (default), avro",
    )
    parser.add_argument(
        "--pack", type=count, metavar="N", help="with --kafka: up to N events in an Avro message"
    )
    parser.add_argument(
        "--speed", type=_speed, metavar="60x", help="with --kafka: as fast as events happened, × 60"
    )
    parser.add_argument(
        "--partitions", type=count, metavar="N", help="with --kafka: of topics that it makes (4)"
    )


def check_target(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together; fill in the format."""
    if not args.kafka:
        if args.out is None:
            raise UsageError("expected --out DIR or --kafka HOST:PORT, received neither")
        for name in ("pack", "speed", "partitions"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name}: expected with --kafka HOST:PORT only")
    known = MESSAGE_FORMATS if args.kafka else FILE_FORMATS
    if args.pack is not None and args.format is None:
        args.format = "avro"
    args.format = args.format or known[0]
    if args.format not in known:
        raise UsageError(f"--format: expected one of {', '.join(known)}, received {args.format!r}")
    if args.pack is not None and args.format != "avro":
        raise UsageError(f"--pack: expected --format avro, received {args.format!r}")


@contextmanager
def publisher(args: argparse.Namespace, spec: Spec) -> "Iterator[Publisher]":
    """A publisher as the options say, connected."""
    from pipelines.publish.messages import Encoder
    from pipelines.publish.pace import Pace
    from pipelines.publish.publisher import Publisher

    with console.progress("publishing", unit="events") as advance:
        encoder = Encoder(spec, args.format, args.pack)
        opened = Publisher(args.kafka, encoder, Pace(args.speed), advance=advance)
        opened.partitions = args.partitions or opened.partitions
        opened.open()
        try:
            yield opened
        finally:
            opened.close()


def summary_of(published: "Publisher", notes: tuple[str, ...] = ()) -> "ReplaySummary":
    """What was published."""
    from pipelines.replay.writer import ReplaySummary

    counts = {name: published.counts[name] for name in published.encoder.spec.streams}
    return ReplaySummary(counts, min(published.times), max(published.times), notes)


def _speed(text: str) -> float:
    match = _SPEED.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"expected a speed such as '1x' or '60x', received {text!r}"
        )
    return float(match[1])
