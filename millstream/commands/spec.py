"""`millstream spec check FILE`: read a stream spec and say what it declares."""

import argparse
import json
from collections import Counter
from typing import Any

from millstream.arguments import Subparsers, add_json
from schemas.durations import format_duration_ms
from schemas.spec import Spec, load, spec_digest


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("spec", help="check a stream spec")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read a spec and say what it declares")
    check.add_argument("file", metavar="FILE", help="the stream spec, a TOML file")
    add_json(check)
    check.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a summary. Raises SpecError for the first thing that is wrong."""
    spec = load(args.file)
    if args.json:
        print(json.dumps({"file": args.file, **summary(spec)}, indent=2))
    else:
        print("\n".join([f"{args.file}: a valid stream spec.", *_lines(spec)]))
    return 0


def summary(spec: Spec) -> dict[str, Any]:
    """What the spec declares, in values that JSON can hold."""
    return {
        "name": spec.name,
        "digest": spec_digest(spec),
        "window": {"length_ms": spec.window.length_ms, "maturity_ms": spec.window.maturity_ms},
        "streams": {stream.name: stream.kind for stream in spec.streams.values()},
        "domains": {domain.name: list(domain.scenarios) for domain in spec.domains.values()},
        "tasks": {
            task.name: {"stream": task.stream, "horizon_ms": task.horizon_ms, "value": task.value}
            for task in spec.tasks.values()
        },
        "features": {
            f.name: {"owner": f.owner, "type": f.type, "table": f.table or None}
            for f in spec.features.values()
        },
        "sequences": list(spec.sequences.streams),
    }


def _lines(spec: Spec) -> list[str]:
    window, sequences = spec.window, spec.sequences
    length, maturity = map(format_duration_ms, (window.length_ms, window.maturity_ms))
    domains = [f"{d.name} ({len(d.scenarios)} scenarios)" for d in spec.domains.values()]
    tasks = [f"{t.name} ({format_duration_ms(t.horizon_ms)})" for t in spec.tasks.values()]
    return [
        f"  name       {spec.name}",
        f"  windows    of {length}, sealed {maturity} after their end",
        f"  streams    {_counts(s.kind for s in spec.streams.values())}",
        f"  domains    {', '.join(domains)}",
        f"  tasks      {', '.join(tasks)}",
        f"  features   {_counts(f.owner for f in spec.features.values())}",
        f"  sequences  last {sequences.history} and {sequences.recent} recent of "
        + (", ".join(sequences.streams) or "nothing"),
        f"  digest     {spec_digest(spec)[:16]}",
    ]


def _counts(kinds: Any) -> str:
    """How many of each, such as `2 user, 1 item`."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items()) or "none"
