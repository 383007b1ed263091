"""An argument parser whose complaints are `UsageError`s with a near match."""

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from schemas.errors import UserError

Subparsers = Any
"""What `add_subparsers` returns; argparse keeps the class private."""

_INVALID_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class UsageError(UserError):
    """The command line is wrong."""


class Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that every error takes one way out."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{_with_near_match(message)} (see `{self.prog} --help`)")


def _with_near_match(message: str) -> str:
    """Replace argparse's list of choices by the one that was probably meant, if there is one."""
    match = _INVALID_CHOICE.search(message)
    if match is None:
        return message
    choices = [choice.strip().strip("'") for choice in match[2].split(",")]
    close = difflib.get_close_matches(match[1], choices, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(choices)}"
    return f"{message[: match.start()]}unknown {match[1]!r} ({hint})"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Offer `--json`, for commands that a machine may read."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_metrics_port(parser: argparse.ArgumentParser) -> None:
    """Offer to serve metrics, for commands that run for long."""
    parser.add_argument(
        "--metrics-port",
        type=int,
        metavar="N",
        help="serve /metrics, /metrics.json and /healthz on this port (0: a free one)",
    )
    parser.add_argument(
        "--metrics-host", default="127.0.0.1", metavar="HOST", help="… of this host (%(default)s)"
    )


def expect_given(args: argparse.Namespace, names: Sequence[str], command: str) -> None:
    """Raise UsageError unless all these were given: a command's actions need none of them."""
    lacking = [name for name in names if getattr(args, name) is None]
    if lacking:
        raise UsageError(f"expected --{', --'.join(lacking)} (see `millstream {command} --help`)")


def count(text: str) -> int:
    """A whole number of 1 or more, as an argument's type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, received {text!r}")
    return int(text)
