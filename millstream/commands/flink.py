"""The options of `millstream pipeline` that only its Flink runner has, and that runner."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millstream.arguments import UsageError
from pipelines.sources.kafka.address import is_kafka
from schemas.spec import load

if TYPE_CHECKING:
    from pipelines.drivers.flink import FlinkSettings, FlinkSummary

NEEDED = ("flink_job_server", "flink_rest")
DEFAULTS: dict[str, Any] = {
    "flink_workers": "localhost:50000",
    "parallelism": 2,
    "checkpoint_s": 10.0,
}
EPOCH_ROWS = 100_000


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options. Without a value they are None, so that a misplaced one is noticed."""
    parser.add_argument(
        "--runner",
        choices=("direct", "flink"),
        default="direct",
        help="in this process, or on a Flink cluster (%(default)s)",
    )
    group = parser.add_argument_group("with --runner flink")
    group.add_argument(
        "--flink-job-server", metavar="HOST:PORT", help="Beam's job server for the cluster"
    )
    group.add_argument(
        "--flink-rest", metavar="http://HOST:PORT", help="the job manager's REST interface"
    )
    group.add_argument(
        "--flink-workers",
        metavar="HOST:PORT",
        help="where a task manager finds Python workers "
        f"(default: {DEFAULTS['flink_workers']}, beside each)",
    )
    group.add_argument(
        "--parallelism",
        type=int,
        metavar="N",
        help=f"how often each step runs (default: {DEFAULTS['parallelism']})",
    )
    group.add_argument(
        "--checkpoint-s",
        type=float,
        metavar="S",
        help=f"seconds between checkpoints (default: {DEFAULTS['checkpoint_s']:g})",
    )


def check(args: argparse.Namespace) -> None:
    """Raises UsageError for options that do not go together."""
    given = [name for name in (*NEEDED, *DEFAULTS) if getattr(args, name) is not None]
    if args.runner != "flink":
        if given:
            option = given[0].replace("_", "-")
            raise UsageError(f"--{option}: expected --runner flink with it, received none")
        return
    if any(getattr(args, name) is None for name in NEEDED):
        raise UsageError(
            "--runner flink: expected --flink-job-server HOST:PORT and --flink-rest "
            "http://HOST:PORT with it, received one or none; `make flink` starts a cluster here"
        )
    if args.watch or args.metrics_port is not None:
        raise UsageError(
            "--watch, --metrics-port: expected --runner direct with them, received flink; a job on "
            "Flink is watched in Flink's own pages and metrics (docs/flink.md)"
        )
    if not is_kafka(args.source):
        raise UsageError(
            f"--source: expected kafka://HOST:PORT with --runner flink, received {args.source!r}"
        )
    if not args.follow and not args.final:
        raise UsageError(
            "--runner flink: expected --follow, or --final for what the topics hold now, "
            "received neither; a job on Flink does not stop where the watermark does"
        )


def run(args: argparse.Namespace, watch: Callable[[int], None]) -> "FlinkSummary":
    """Run the job that the arguments describe."""
    from pipelines.drivers.flink import run as run_flink

    return run_flink(_settings(args), watch)


def _settings(args: argparse.Namespace) -> "FlinkSettings":
    from pipelines.drivers.direct.identity import SHARDS, stored_identity
    from pipelines.drivers.flink import FlinkSettings

    state = args.state or args.windows.with_name(f"{args.windows.name}.state")
    there = stored_identity(state)
    given = DEFAULTS | {n: v for n, v in vars(args).items() if n in DEFAULTS and v is not None}
    return FlinkSettings(
        spec=load(args.spec),
        source=args.source,
        windows=args.windows,
        state=state,
        job_server=args.flink_job_server,
        rest=args.flink_rest,
        workers=given["flink_workers"],
        shards=args.shards or (there.shards if there else SHARDS),
        epoch_rows=args.epoch_rows or EPOCH_ROWS,
        parallelism=given["parallelism"],
        checkpoint_s=given["checkpoint_s"],
        final=args.final,
    )
