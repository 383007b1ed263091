"""`millstream pipeline`: event streams to sealed windows."""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from millstream import console
from millstream.arguments import Subparsers, add_json
from millstream.commands import flink
from schemas.spec import load

if TYPE_CHECKING:
    from pipelines.drivers.direct import Summary
    from pipelines.drivers.flink import FlinkSummary

SECTIONS = {
    "windows": ("windows", "divergent"),
    "events read": ("accepted", "late", "duplicate", "repeated_item"),
    "dead letters by stream and reason": ("dead",),
    "feedback that changed no label, by task": ("no_sample", "before_request", "closed"),
    "labels as their windows showed them, by task and tier": ("label",),
    "foreign clicks as requests of the target, or why not": ("searchify",),
    "their queries by path": ("query", "no_query"),
}
"""The kinds of counts, the part before the slash, under the headings that a person reads."""


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
    flink.add(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the driver that was asked for and print what it sealed and counted."""
    flink.check(args)
    with console.progress("pipeline", unit="events") as advance:
        on_flink = args.runner == "flink"
        summary = flink.run(args, advance) if on_flink else _direct(args, advance)
    print(_json(summary) if args.json else _text(args.windows, summary))
    return 0


def _direct(args: argparse.Namespace, advance: Callable[[int], None]) -> "Summary":
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
    return run_direct(settings, watch=lambda told: advance(told.rows))


def _json(summary: "Summary | FlinkSummary") -> str:
    values = {field.name: getattr(summary, field.name) for field in fields(summary)}
    return json.dumps(values, indent=2)


def _text(windows: Path, summary: "Summary | FlinkSummary") -> str:
    state = "input complete" if summary.final else "waiting for more input"
    epochs = getattr(summary, "epochs", None)
    how = "on Flink" if epochs is None else f"in {epochs} epochs"
    lines = [f"{windows}: {summary.sealed} windows sealed {how}, {state}"]
    for heading, names in _by_section(summary.totals).items():
        lines.append(heading)
        lines += [f"  {name:<32} {summary.totals[name]:>12,}" for name in names]
    return "\n".join(lines)


def _by_section(totals: Iterable[str]) -> dict[str, list[str]]:
    """The names of totals under their headings; what no heading names is not lost."""
    sections: dict[str, list[str]] = {heading: [] for heading in (*SECTIONS, "other")}
    for name in sorted(totals):
        kind = name.partition("/")[0]
        heading = next((one for one, kinds in SECTIONS.items() if kind in kinds), "other")
        sections[heading].append(name)
    return {heading: names for heading, names in sections.items() if names}
