"""`millstream pipeline`: event streams to sealed windows."""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from millstream import console
from millstream.arguments import Subparsers, add_json, add_metrics_port, count, expect_given
from millstream.commands import flink
from schemas.spec import load

if TYPE_CHECKING:
    from millstream.monitor import Board
    from pipelines.drivers.direct import DirectSettings, Status, Summary
    from pipelines.drivers.flink import FlinkSummary

EPOCH_ROWS = 500_000

SECTIONS = {
    "windows": ("windows", "divergent", "revisions"),
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
    parser.add_argument("--spec", type=Path, metavar="FILE", help="the stream spec")
    parser.add_argument(
        "--source",
        metavar="DIR|kafka://HOST:PORT",
        help="a folder per stream, or a cluster with a topic per stream",
    )
    parser.add_argument("--windows", type=Path, metavar="DIR", help="the window store")
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="the pipeline's state (default: WINDOWS.state)"
    )
    parser.add_argument("--shards", type=count, metavar="N", help="of a new state (16)")
    parser.add_argument(
        "--epoch-rows",
        type=count,
        metavar="N",
        help=f"rows read at once ({EPOCH_ROWS:,}; on Flink by each reader, {flink.EPOCH_ROWS:,})",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="read what is there and stop (default)")
    mode.add_argument("--follow", action="store_true", help="keep looking for new events")
    parser.add_argument(
        "--final", action="store_true", help="the input is complete: seal all that holds something"
    )
    flink.add(parser)
    _add_monitor(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    _add_rescale(actions)


def _add_rescale(actions: Subparsers) -> None:
    parser = actions.add_parser("rescale", help="deal stored state out to another number of shards")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="of a pipeline")
    parser.add_argument("--shards", type=count, required=True, metavar="N", help="from now on")
    parser.set_defaults(run=run_rescale)


def _add_monitor(parser: argparse.ArgumentParser) -> None:
    add_metrics_port(parser)
    parser.add_argument("--watch", action="store_true", help="a live view on this terminal")


def run(args: argparse.Namespace) -> int:
    """Run the driver that was asked for and print what it sealed and counted."""
    expect_given(args, ("spec", "source", "windows"), "pipeline")
    flink.check(args)
    summary = _on_flink(args) if args.runner == "flink" else _direct(args)
    print(_json(summary) if args.json else _text(args.windows, summary))
    return 0


def _on_flink(args: argparse.Namespace) -> "FlinkSummary":
    with console.progress("pipeline", unit="events") as advance:
        return flink.run(args, advance)


def _direct(args: argparse.Namespace) -> "Summary":
    from millstream.monitor import Board
    from pipelines.drivers.direct import Status
    from pipelines.drivers.direct import run as run_direct

    settings, board = _settings(args), Board[Status]()
    with _served(args, board), _shown(args, board) as show:

        def watch(status: Status) -> None:
            board.put(status)
            show(status.work.rows)

        return run_direct(settings, watch)


def run_rescale(args: argparse.Namespace) -> int:
    """Rescale and say what was done."""
    from pipelines.drivers.direct import rescale

    before = rescale(args.state, args.shards)
    print(f"{args.state}: {args.shards} shards, {before} before")
    return 0


@contextmanager
def _served(args: argparse.Namespace, board: "Board[Status]") -> Iterator[None]:
    """With metrics to be had meanwhile, if they were asked for."""
    if args.metrics_port is None:
        yield
        return
    from millstream.monitor import serving
    from millstream.monitor.pipeline_metrics import health_of, registry_of

    with serving(
        registry_of(board), lambda: health_of(board), args.metrics_host, args.metrics_port
    ):
        yield


@contextmanager
def _shown(args: argparse.Namespace, board: "Board[Status]") -> Iterator[Callable[[int], None]]:
    """Gives whom to tell how many events were read so far."""
    if args.watch:
        from millstream.monitor.pipeline_view import live

        with live(board):
            yield lambda rows: None
        return
    with console.progress_of(["pipeline"], None, unit="events") as show:
        yield lambda rows: show({"pipeline": rows})


def _settings(args: argparse.Namespace) -> "DirectSettings":
    from pipelines.drivers.direct import DirectSettings

    return DirectSettings(
        spec=load(args.spec),
        source=args.source,
        windows=args.windows,
        state=args.state or args.windows.with_name(f"{args.windows.name}.state"),
        shards=args.shards,
        epoch_rows=args.epoch_rows or EPOCH_ROWS,
        follow=args.follow,
        final=args.final,
    )


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
