"""`millstream models`: versions, who serves and moving that, ancestry; what a model is made of."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.arguments import Subparsers, add_json
from millstream.commands import describe_model
from schemas.errors import UserError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from learner.promotion import Move


@dataclass(frozen=True)
class Version:
    """One line of `ls`."""

    version: str
    aliases: tuple[str, ...]
    registered: str
    windows: str
    gate: str
    reason: str


def add(subparsers: Subparsers) -> None:
    """Declare the command and what it can do."""
    parser = subparsers.add_parser(
        "models", help="versions and who serves; what a model is made of"
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    ls = _action(actions, "ls", "versions, their aliases and what the gate said", list_versions)
    ls.add_argument("--history", action="store_true", help="how the alias champion has moved")
    add_json(ls)
    promote = _action(actions, "promote", "make a version the champion", promote_version)
    promote.add_argument("version", metavar="VERSION", help="a number or an alias")
    rollback = _action(actions, "rollback", "give back to the champion before", roll_back)
    for parser in (promote, rollback):
        parser.add_argument("--why", default="", metavar="TEXT", help="kept with the move")
    explain = _action(
        actions, "explain", "which windows and events made a version", explain_version
    )
    explain.add_argument("version", metavar="VERSION", help="a number or an alias")
    explain.add_argument(
        "--windows", type=Path, metavar="DIR", help="compare with the windows that stand there"
    )
    explain.add_argument(
        "--pipeline",
        type=Path,
        metavar="DIR",
        help="the pipeline's state: how far events were read",
    )
    add_json(explain)
    export = _action(
        actions, "export", "the part of a version that one scenario needs", export_version
    )
    export.add_argument("version", metavar="VERSION", help="a number or an alias")
    export.add_argument("--scenario", required=True, metavar="NAME", help="one of the spec's")
    export.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder, which MLflow can load"
    )
    describe_model.add_action(actions)


def list_versions(args: argparse.Namespace) -> int:
    """Print all versions, the newest first, or the moves of the alias."""
    from learner.promotion import history
    from learner.reach import reached, registered_name

    with reached(args.mlflow) as client:
        name = registered_name(client, args.name)
        if args.history:
            moves = history(client, name)
            _print(args, [asdict(move) for move in moves], [_told(move) for move in moves])
            return 0
        versions = _versions(client, name)
    _print(args, [asdict(one) for one in versions], _table(name, versions))
    return 0


def promote_version(args: argparse.Namespace) -> int:
    """Move `champion` to a version."""
    from learner.promotion import promote
    from learner.reach import reached, registered_name

    with reached(args.mlflow) as client:
        name = registered_name(client, args.name)
        print(f"{name}: {_told(promote(client, name, args.version, args.why))}")
    return 0


def roll_back(args: argparse.Namespace) -> int:
    """Move `champion` to where it was before."""
    from learner.promotion import rollback
    from learner.reach import reached, registered_name

    with reached(args.mlflow) as client:
        name = registered_name(client, args.name)
        print(f"{name}: {_told(rollback(client, name, args.why))}")
    return 0


def explain_version(args: argparse.Namespace) -> int:
    """Print a version's lineage, from event offsets to weights. Code 1 if it does not hold."""
    from learner.ancestry import ancestry_of
    from learner.promotion import resolved
    from learner.reach import reached, registered_name
    from millstream.ancestry_text import as_json, as_lines, offsets_of
    from schemas.windows import WindowStore

    store = WindowStore(args.windows).windows() if args.windows else None
    with reached(args.mlflow) as client:
        name = registered_name(client, args.name)
        version = resolved(client, name, args.version)
        ancestry = ancestry_of(client, name, version, store)
    offsets = offsets_of(args.pipeline, store) if args.pipeline and store else {}
    if args.json:
        print(json.dumps(as_json(ancestry, offsets), indent=2))
    else:
        print("\n".join(as_lines(name, ancestry, offsets)))
    return 0 if ancestry.proven else 1


def export_version(args: argparse.Namespace) -> int:
    """Write the part of a version that scores one scenario."""
    from learner.export import export
    from learner.promotion import resolved
    from learner.reach import reached, registered_name

    with reached(args.mlflow) as client:
        name = registered_name(client, args.name)
        version = resolved(client, name, args.version)
        exported = export(client, name, version, args.scenario, args.out)
    print(
        f"{args.out}: {name}, version {version}, what {args.scenario} needs: "
        f"{exported.parameters:,} of {exported.of:,} parameters outside tables"
    )
    return 0


def _action(actions: Subparsers, name: str, what: str, run: "object") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what)
    parser.add_argument("--mlflow", required=True, metavar="URI", help="the MLflow server")
    parser.add_argument(
        "--name", metavar="MODEL", help="the registered model (default: the only one)"
    )
    parser.set_defaults(run=run)
    return parser


def _versions(client: "MlflowClient", name: str) -> list[Version]:
    aliases = client.get_registered_model(name).aliases
    found = client.search_model_versions(f"name='{name}'")
    return [
        Version(
            version=str(one.version),
            aliases=tuple(sorted(a for a, v in aliases.items() if str(v) == str(one.version))),
            registered=_moment(one.creation_timestamp),
            windows=one.tags.get("windows", ""),
            gate=one.tags.get("gate", ""),
            reason=one.tags.get("gate_reason", ""),
        )
        for one in sorted(found, key=lambda one: -int(one.version))
    ]


def _table(name: str, versions: Sequence[Version]) -> list[str]:
    if not versions:
        raise UserError(f"{name}: expected registered versions, received none.")
    lines = [f"{name}", f"{'version':>7}  {'registered':16}  {'windows':>7}  {'gate':7}  aliases"]
    for one in versions:
        aliases = ", ".join(one.aliases)
        lines.append(
            f"{one.version:>7}  {one.registered:16}  {one.windows:>7}  {one.gate:7}  {aliases}"
        )
        lines.append(f"{'':9}{one.reason}")
    return lines


def _told(move: "Move") -> str:
    what = "rolled back to" if move.rollback else "promoted"
    if not move.version:
        what = "no champion any more"
    before = f", before it {move.previous}" if move.previous else ""
    why = f": {move.why}" if move.why else ""
    return f"{move.at} {what} {move.version}{before}, by {move.by}{why}"


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _print(args: argparse.Namespace, values: list[dict[str, object]], lines: list[str]) -> None:
    print(json.dumps(values, indent=2) if args.json else "\n".join(lines))
