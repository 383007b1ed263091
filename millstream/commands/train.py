"""`millstream train`: the learner, over the windows that are sealed and those to come."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.arguments import Subparsers, add_json, add_metrics_port, count, expect_given
from millstream.commands import rewind

if TYPE_CHECKING:
    from learner.settings import LearnerSettings, Summary
    from learner.status import Status
    from learner.warm_start import WarmStart
    from millstream.monitor import Board


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("train", help="learn from sealed windows")
    parser.add_argument("--spec", type=Path, metavar="FILE", help="the stream spec")
    parser.add_argument("--windows", type=Path, metavar="DIR", help="the window store")
    parser.add_argument("--state", type=Path, metavar="DIR", help="checkpoints and cursor")
    parser.add_argument("--mlflow", metavar="URI", help="the MLflow server")
    parser.add_argument("--model", metavar="NAME", help="mtfm, dlrm_mlp, …")
    parser.add_argument(
        "--name", metavar="MODEL", help="registered under this name (default: <spec>-<model>)"
    )
    parser.add_argument("--preset", default="demo", help="of the model's sizes (%(default)s)")
    parser.add_argument(
        "--from-checkpoint",
        type=Path,
        metavar="DIR",
        help="begin with the weights of another state, under this spec or one that had less",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="learn what is sealed, stop (default)")
    mode.add_argument("--follow", action="store_true", help="wait for new windows")
    parser.add_argument(
        "--until-final", action="store_true", help="with --follow: stop when the input is complete"
    )
    parser.add_argument(
        "--gap-wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="with --follow: wait so long for a window that is left out (%(default)s)",
    )
    parser.add_argument(
        "--checkpoint-every", type=int, default=200, metavar="BATCHES", help="(%(default)s)"
    )
    parser.add_argument(
        "--register-every", type=int, default=12, metavar="WINDOWS", help="(%(default)s)"
    )
    parser.add_argument(
        "--register-every-samples", type=count, metavar="N", help="or sooner, after so many"
    )
    parser.add_argument(
        "--register-when-better", action="store_true", help="or sooner, than the champion"
    )
    add_metrics_port(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    rewind.add_action(actions)


def run(args: argparse.Namespace) -> int:
    """Run the daemon and print what it did."""
    from learner import daemon
    from learner.status import Status
    from millstream.monitor import Board

    expect_given(args, ("spec", "windows", "state", "mlflow", "model"), "train")
    board = Board[Status]()
    with _served(args, board):
        summary = daemon.run(_settings(args), board.put)
    print(json.dumps(asdict(summary), indent=2) if args.json else _text(summary))
    return 0


@contextmanager
def _served(args: argparse.Namespace, board: "Board[Status]") -> Iterator[None]:
    """With metrics to be had meanwhile, if they were asked for."""
    if args.metrics_port is None:
        yield
        return
    from millstream.monitor import serving
    from millstream.monitor.learner_metrics import health_of, registry_of

    place = args.metrics_host, args.metrics_port
    with serving(registry_of(board), lambda: health_of(board), *place):
        yield


def _settings(args: argparse.Namespace) -> "LearnerSettings":
    from learner.settings import LearnerSettings

    return LearnerSettings(
        spec=args.spec,
        windows=args.windows,
        state=args.state,
        mlflow=args.mlflow,
        model=args.model,
        preset=args.preset,
        from_checkpoint=args.from_checkpoint,
        device=args.device,
        mode="follow" if args.follow else "once",
        until_final=args.until_final,
        gap_wait_s=args.gap_wait,
        registered_model=args.name,
        checkpoint_every_batches=args.checkpoint_every,
        register_every_windows=args.register_every,
        register_every_samples=args.register_every_samples,
        register_when_better=args.register_when_better,
    )


def _text(summary: "Summary") -> str:
    versions = ", ".join(summary.versions) or "none"
    lines = [
        *_began(summary.warm_start),
        f"{summary.windows} windows learned, {summary.samples:,} samples, "
        f"lineage {summary.lineage_id[:12]}",
        f"versions of {summary.registered_model} registered: {versions}",
    ]
    if summary.unsent:
        lines.append(f"{summary.unsent} entries wait for MLflow; the next start sends them")
    return "\n".join(lines)


def _began(warm_start: "WarmStart | None") -> list[str]:
    """Which weights a state has from where it began."""
    if warm_start is None:
        return []
    named = [
        f"{what} {len(names)}{': ' if names else ''}{', '.join(names)}"
        for what, names in (("grown", warm_start.grown), ("new", warm_start.new))
    ]
    kept = f"{len(warm_start.kept)} parameters and tables kept"
    return [f"began at lineage {warm_start.lineage[:12]}: {kept}, {named[0]}; {named[1]}"]
