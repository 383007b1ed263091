"""`millstream dead-letters ls | show | replay`: what the pipeline refused, and its way back."""

import argparse
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream import console
from millstream.arguments import Subparsers, UsageError, add_json
from schemas.spec import load

if TYPE_CHECKING:
    from pipelines.letters.box import LetterBox, Wanted
    from pipelines.letters.replay import Replayed, Target

Json = dict[str, Any]


def add(subparsers: Subparsers) -> None:
    """Declare the command and its actions."""
    parser = subparsers.add_parser("dead-letters", help="events that the pipeline could not use")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = _action(actions, "ls", "how many there are by stream and reason")
    listing.add_argument("--by-source", action="store_true", help="and by file or partition")
    listing.set_defaults(run=run_ls)
    show = _action(actions, "show", "letters one by one, with the bytes they came as")
    show.add_argument("--limit", type=int, default=10, metavar="N", help="so many (%(default)s)")
    show.set_defaults(run=run_show)
    replay = _action(actions, "replay", "send them again, each once, after a fix")
    replay.add_argument("--spec", type=Path, required=True, metavar="FILE", help="the stream spec")
    target = replay.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="DIR", help="a folder per stream")
    target.add_argument("--kafka", metavar="HOST:PORT", help="to the topics of the spec")
    replay.add_argument("--again", action="store_true", help="also what was replayed before")
    replay.set_defaults(run=run_replay)


def _action(actions: Subparsers, name: str, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
    parser.add_argument("store", metavar="WINDOWS", type=Path, help="the folder of windows")
    parser.add_argument("--stream", metavar="NAME", help="only of this stream")
    parser.add_argument("--reason", metavar="CODE", help="only for this reason")
    parser.add_argument("--source", metavar="NAME", help="only of this file or partition")
    add_json(parser)
    return parser


def run_ls(args: argparse.Namespace) -> int:
    """Print one row a stream and reason."""
    from schemas.windows.describe import rows_text

    by = ["stream", "reason", *(["source"] if args.by_source else [])]
    rows = _box(args).count(_wanted(args), by).to_dicts()
    print(json.dumps(rows, indent=2) if args.json else rows_text(rows, "no dead letter"))
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print letters one after the other."""
    letters = (
        letter
        for epoch, table in _box(args).letters(_wanted(args))
        for letter in _shown(epoch, table)
    )
    shown = list(islice(letters, args.limit))
    print(json.dumps(shown, indent=2) if args.json else "\n\n".join(map(_letter_text, shown)))
    return 0


def run_replay(args: argparse.Namespace) -> int:
    """Send letters again and print how many, and what was left out."""
    from pipelines.letters.replay import replay

    with _target(args) as target, console.progress("replaying", unit="letters") as advance:
        done = replay(_box(args), _wanted(args), target, again=args.again, advance=advance)
    where = args.kafka or args.out
    print(_json_of(done) if args.json else _text_of(f"{where}", done))
    return 0


@contextmanager
def _target(args: argparse.Namespace) -> "Iterator[Target]":
    spec = load(args.spec)
    if args.kafka is None:
        from pipelines.letters.to_files import ToFiles

        yield ToFiles(args.out, spec)
        return
    from pipelines.letters.to_kafka import ToKafka
    from pipelines.publish.messages import Encoder
    from pipelines.publish.pace import Pace
    from pipelines.publish.publisher import Publisher

    publisher = Publisher(args.kafka, Encoder(spec, "json"), Pace(None))
    publisher.open()
    try:
        yield ToKafka(publisher, spec)
    finally:
        publisher.close()


def _box(args: argparse.Namespace) -> "LetterBox":
    from pipelines.letters.box import LetterBox

    return LetterBox(args.store)


def _wanted(args: argparse.Namespace) -> "Wanted":
    """What the options choose. Raises UsageError for a reason that no letter has."""
    from pipelines.dead_letters import REASONS
    from pipelines.letters.box import Wanted

    if args.reason is not None and args.reason not in REASONS:
        known = ", ".join(REASONS)
        raise UsageError(f"--reason: expected one of {known}, received {args.reason!r}")
    return Wanted(args.stream, args.reason, args.source)


def _shown(epoch: int, table: Any) -> Iterator[Json]:
    """Letters as JSON can hold them: bytes as text, or in base 64 where they are none."""
    for letter in table.to_pylist():
        raw = letter.pop("raw")
        letter = {"epoch": epoch, **letter, "cut_short": letter["raw_bytes"] > len(raw)}
        letter["replayed"] = letter.pop("_replayed")
        try:
            letter["raw"] = raw.decode()
        except UnicodeDecodeError:
            letter["raw_base64"] = base64.b64encode(raw).decode()
        yield {name: value for name, value in letter.items() if name != "_row"}


def _letter_text(letter: Json) -> str:
    field = f", field {letter['field']}" if letter["field"] else ""
    state = ", replayed" if letter["replayed"] else ""
    size = f"{letter['raw_bytes']:,} bytes" + (", cut short" if letter["cut_short"] else "")
    raw = letter.get("raw", f"base64:{letter.get('raw_base64')}")
    where = f"{letter['source']} at {letter['position']:,}"
    return f"{letter['stream']}: {letter['reason']}{field}; {where}; {size}{state}\n{raw}"


def _json_of(done: "Replayed") -> str:
    return json.dumps({"replayed": done.sent, "left_out": done.left_out}, indent=2, sort_keys=True)


def _text_of(where: str, done: "Replayed") -> str:
    lines = [f"{where}: {done.sent.total():,} letters replayed"]
    lines += [f"  {stream:<32} {number:>12,}" for stream, number in sorted(done.sent.items())]
    lines += [f"  left out: {n:,} ({why})" for why, n in sorted(done.left_out.items())]
    return "\n".join(lines)
