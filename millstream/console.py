"""What a person sees while a command works: bars on a terminal, log lines otherwise."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

Advance = Callable[[int], None]
"""Say that so many more units are done."""

LOG_EVERY_S = 10.0

_log = logging.getLogger("millstream")


def start_logging(verbose: bool = False) -> None:
    """Send log lines to stderr; above a progress bar where there is one."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("apache_beam", "matplotlib", "numba", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.INFO if verbose else logging.WARNING)
    # Its complaints come by the dozen while a broker is away, of which the source tells itself.
    logging.getLogger("kafka").setLevel(logging.INFO if verbose else logging.CRITICAL)


@contextmanager
def progress(
    label: str,
    total: int | None = None,
    unit: str = "steps",
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Advance]:
    """Follow a piece of work: `with progress("reading", rows, "events") as advance: advance(n)`.

    `total` is None where the end is not known.
    """
    shown = _bar(label, total, unit) if sys.stderr.isatty() else _lines(label, total, unit, clock)
    with shown as advance:
        yield advance


@contextmanager
def _bar(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total)
        yield lambda units: bars.advance(task, units)


@contextmanager
def _lines(
    label: str, total: int | None, unit: str, clock: Callable[[], float]
) -> Iterator[Advance]:
    start = said = clock()
    done = 0
    of_total = "" if total is None else f" of {total:,}"

    def advance(units: int) -> None:
        nonlocal done, said
        done += units
        if clock() - said >= LOG_EVERY_S:
            said = clock()
            _log.info("%s: %s%s %s", label, f"{done:,}", of_total, unit)

    yield advance
    _log.info("%s: done, %s %s in %.1f s", label, f"{done:,}", unit, clock() - start)


Show = Callable[[Mapping[str, int]], None]
"""Say how far each piece of work is."""


@contextmanager
def progress_of(labels: Sequence[str], total: int | None, unit: str = "windows") -> Iterator[Show]:
    """Follow several pieces of work of one size whose progress is looked up."""
    with ExitStack() as stack:
        bars = {label: stack.enter_context(progress(label, total, unit)) for label in labels}
        done = dict.fromkeys(labels, 0)

        def show(now: Mapping[str, int]) -> None:
            for label, count in now.items():
                bars[label](count - done[label])
                done[label] = count

        yield show
