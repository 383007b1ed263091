"""`millstream simulate`: a world with known truth as the event streams of the spec `simulated`."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from millstream import shipped
from millstream.arguments import Subparsers, add_json
from millstream.commands.publishing import add_target, check_target, publisher, summary_of
from millstream.commands.replay import summary_text
from pipelines.simulate.world_file import PRESETS, load, scaled
from schemas.spec import Spec
from schemas.spec import load as load_spec

if TYPE_CHECKING:
    from pipelines.replay.writer import ReplaySummary
    from pipelines.simulate.world import World


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("simulate", help="a world with known truth as event streams")
    parser.add_argument(
        "--world",
        default="tiny",
        metavar="NAME|FILE",
        help=f"{', '.join(PRESETS)} or a TOML file (%(default)s)",
    )
    add_target(parser, "DIR/events and DIR/truth are written; with --kafka the latter only")
    parser.add_argument("--seed", type=int, metavar="N", help="default: the world's own")
    parser.add_argument("--users", type=int, metavar="N", help="default: the world's own")
    parser.add_argument("--days", type=int, metavar="N", help="default: the world's own")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier world")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write or publish events and truth and print how many events there are of each stream."""
    check_target(args)
    world = scaled(load(args.world), seed=args.seed, users=args.users, days=args.days)
    spec = load_spec(shipped.spec_file("simulated"))
    summary = _publish(args, world, spec) if args.kafka else _write(args, world, spec)
    where = args.kafka or args.out
    print(json.dumps(asdict(summary), indent=2) if args.json else summary_text(where, summary))
    return 0


def _write(args: argparse.Namespace, world: "World", spec: Spec) -> "ReplaySummary":
    from pipelines.simulate.simulate import simulate
    from pipelines.simulate.writer import Writer

    writer = Writer.open(args.out, spec, args.format, args.overwrite)
    simulate(world, writer)
    return writer.summary()


def _publish(args: argparse.Namespace, world: "World", spec: Spec) -> "ReplaySummary":
    from pipelines.publish.world import WorldPublisher
    from pipelines.simulate.simulate import simulate
    from pipelines.simulate.writer import Writer

    truth = None
    if args.out is not None:
        truth = Writer.open(args.out, spec, overwrite=args.overwrite, truth_only=True)
    with publisher(args, spec) as opened:
        output = WorldPublisher(opened, truth)
        simulate(world, output)
        output.finish()
        return summary_of(opened)
