"""`millstream pipeline --watch`: how the run stands, on one screen, twice a second."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from millstream.arguments import UsageError
from millstream.monitor.board import Board
from pipelines.drivers.direct import Status
from pipelines.steps.step import NO_CUT

PARTITIONS_SHOWN = 12


@contextmanager
def live(board: Board[Status]) -> Iterator[None]:
    """Show what stands on the board until the block ends. Raises UsageError without a terminal."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        raise UsageError(
            "--watch: expected a terminal, received none. Leave it out here; --metrics-port serves "
            "the same to other programs"
        )
    with Live(
        get_renderable=lambda: screen(board, time.time()), console=console, refresh_per_second=2
    ):
        yield


def screen(board: Board[Status], now_s: float) -> RenderableType:
    """All that is shown at a moment, by the clock of the day in seconds."""
    status = board.value
    if status is None:
        return Text(f"looking at the source, {board.age_s:.0f} s")
    return Group(_facts(status, board.age_s, now_s), _counts(status), _lag(status))


def _facts(status: Status, age_s: float, now_s: float) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    for name, value in _named(status, age_s, now_s):
        facts.add_row(name, value)
    return facts


def _named(status: Status, age_s: float, now_s: float) -> Iterable[tuple[str, str]]:
    work, sealed, commit = status.work, status.last_sealed, status.commit
    answers = "answers" if status.answers() else "does not answer; trying again, nothing is skipped"
    yield "source", answers
    mean_s = work.seconds / max(1, work.epochs)
    yield (
        "epoch",
        (
            f"{commit.epoch:,}; last {work.last_seconds:.2f} s, mean {mean_s:.2f} s; "
            f"told {age_s:.0f} s ago"
        ),
    )
    yield "watermark", _moment(status.standing.watermark_ms, now_s)
    yield "last cut", "none yet" if commit.cut == NO_CUT else _cut(status, now_s)
    yield (
        "windows",
        (
            f"{commit.counts.get('windows', 0):,} sealed, {len(commit.open_windows):,} open, "
            f"{commit.counts.get('revisions', 0):,} revisions"
        ),
    )
    if sealed is not None:
        yield "last sealed", f"{sealed.name}, {_span(sealed.delay_s)} after its cut"
    yield "state", f"{status.state_bytes() / 1e6:,.1f} MB"


def _cut(status: Status, now_s: float) -> str:
    return "the last: input complete" if status.commit.final else _moment(status.commit.cut, now_s)


def _counts(status: Status) -> RenderableType:
    counts = status.commit.counts
    streams = sorted({n.split("/")[1] for n in counts if n.startswith(("accepted/", "dead/"))})
    table = Table("stream", box=None, header_style="bold")
    for heading in ("accepted", "late", "dead letters"):
        table.add_column(heading, justify="right")
    table.add_column("reasons")
    for stream in streams:
        start = f"dead/{stream}/"
        dead = {n.removeprefix(start): k for n, k in counts.items() if n.startswith(start)}
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(dead.items()))
        accepted, late = (counts.get(f"{kind}/{stream}", 0) for kind in ("accepted", "late"))
        table.add_row(stream, f"{accepted:,}", f"{late:,}", f"{sum(dead.values()):,}", reasons)
    return table


def _lag(status: Status) -> RenderableType:
    """What waits, the longest queues first."""
    waiting = sorted(status.standing.lag.items(), key=lambda one: (-one[1], one[0]))
    table = Table("waits in", box=None, header_style="bold")
    table.add_column("unread", justify="right")
    for name, unread in waiting[:PARTITIONS_SHOWN]:
        table.add_row(name, f"{unread:,}")
    left_out = waiting[PARTITIONS_SHOWN:]
    if left_out:
        table.add_row(f"{len(left_out)} more", f"{sum(unread for _, unread in left_out):,}")
    return table


def _moment(time_ms: int | None, now_s: float) -> str:
    if time_ms is None:
        return "unknown yet"
    moment = datetime.fromtimestamp(time_ms / 1_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {_span(now_s - time_ms / 1_000)} ago"


def _span(seconds: float) -> str:
    """In the unit that a person would choose."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"
