"""`millstream`: one entry point, one module a command, one way out for errors."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

from millstream import console
from millstream.arguments import Parser, UsageError
from millstream.commands import (
    dead_letters,
    demo,
    doctor,
    models,
    pipeline,
    replay,
    simulate,
    spec,
    train,
    windows,
)
from schemas.errors import SpecError, UserError

COMMANDS = (
    demo,
    spec,
    replay,
    simulate,
    pipeline,
    train,
    windows,
    models,
    dead_letters,
    doctor,
)
"""Each has `add(subparsers)`, which declares it and sets its `run`."""

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

OUTLIVING = ("champion", "mlflow")
"""Threads of a learner that nobody waits for when MLflow is slow; all they do can be repeated."""


def command() -> NoReturn:
    """What the shell calls."""
    leave(main())


def leave(code: int) -> NoReturn:
    """End the process.

    If a thread is left that may be in native code, the interpreter is not taken down around it:
    that would abort with "terminate called without an active exception", after all went well.
    """
    if any(thread.name in OUTLIVING for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong usage or spec, 130 interrupted."""
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _complain(
            error, WRONG_USAGE if isinstance(error, UsageError | SpecError) else FAILED
        )
    except BrokenPipeError:
        return _without_reader()
    except OSError as error:
        logging.getLogger(__name__).debug("the operating system refused", exc_info=True)
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as leave:
        return int(leave.code or DONE)
    console.start_logging(verbose=args.verbose)
    run: Callable[..., int] = args.run
    return run(args)


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(prog="millstream", description="Event streams in, better ranking models out.")
    parser.add_argument("--verbose", action="store_true", help="log more, with causes of errors")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(subparsers)
    return parser


def _complain(error: Exception, code: int) -> int:
    print(f"millstream: {error}", file=sys.stderr)
    return code


def _without_reader() -> int:
    """Whoever read our output went away: keep the interpreter from complaining at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
