"""`millstream simulate`: a world with known truth as the event streams of the spec `simulated`."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from millstream import shipped
from millstream.arguments import Subparsers, add_json
from millstream.commands.replay import FORMATS, summary_text
from pipelines.simulate.world_file import PRESETS, load, scaled
from schemas.spec import load as load_spec


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("simulate", help="a world with known truth as event streams")
    parser.add_argument(
        "--world",
        default="tiny",
        metavar="NAME|FILE",
        help=f"{', '.join(PRESETS)} or a TOML file (%(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="DIR/events and DIR/truth are written",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="default: the world's own")
    parser.add_argument("--users", type=int, metavar="N", help="default: the world's own")
    parser.add_argument("--days", type=int, metavar="N", help="default: the world's own")
    parser.add_argument(
        "--format", choices=FORMATS, default="parquet", help="of the event files (%(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier world")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write events and truth and print how many events there are of each stream."""
    from pipelines.simulate.simulate import simulate
    from pipelines.simulate.writer import Writer

    world = scaled(load(args.world), seed=args.seed, users=args.users, days=args.days)
    spec = load_spec(shipped.spec_file("simulated"))
    writer = Writer.open(args.out, spec, args.format, args.overwrite)
    simulate(world, writer)
    summary = writer.summary()
    print(json.dumps(asdict(summary), indent=2) if args.json else summary_text(args.out, summary))
    return 0
