"""`millstream windows ls | show | verify | report`: look into a window store."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream import console
from millstream.arguments import Subparsers, UsageError, add_json
from schemas.errors import StoreError
from schemas.spec import load

if TYPE_CHECKING:
    from millstream.report import Written

EXAMPLE = "20220501T020000Z"


def add(subparsers: Subparsers) -> None:
    """Declare the command and its actions."""
    parser = subparsers.add_parser("windows", help="look into a window store")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = _action(actions, "ls", "one row a sealed window")
    listing.set_defaults(run=run_ls)
    show = _action(actions, "show", "one window, or one user's record in it")
    show.add_argument("window", metavar="WINDOW", help=f"its name, such as {EXAMPLE}")
    show.add_argument("--user", metavar="ID", help="this user's whole record")
    show.add_argument("--limit", type=int, default=10, metavar="N", help="show so many users")
    _add_explain(show)
    show.set_defaults(run=run_show)
    verify = _action(actions, "verify", "read everything and compare with the manifests")
    verify.add_argument("window", metavar="WINDOW", nargs="?", help="only this one")
    verify.set_defaults(run=run_verify)
    report = _action(actions, "report", "a page of plots of all that is in it")
    report.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    report.add_argument(
        "--spec", type=Path, metavar="FILE", help="names the target domain and the horizons"
    )
    report.set_defaults(run=run_report)


def _action(actions: Subparsers, name: str, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
    parser.add_argument("store", metavar="WINDOWS", type=Path, help="the folder of windows")
    add_json(parser)
    return parser


def _add_explain(show: argparse.ArgumentParser) -> None:
    show.add_argument(
        "--explain",
        nargs=2,
        metavar=("REQUEST", "ITEM"),
        help="why the labels of this sample are what they are; needs --spec",
    )
    show.add_argument("--spec", type=Path, metavar="FILE", help="the stream spec")
    show.add_argument(
        "--source", type=Path, metavar="DIR", help="the events, to evaluate the rules again"
    )
    show.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="the pipeline's state, which tells what came late (default: WINDOWS.state)",
    )


def run_ls(args: argparse.Namespace) -> int:
    """Print one row a sealed window."""
    from schemas.windows import WindowStore, describe

    rows = describe.list_rows(WindowStore(args.store))
    print(json.dumps(rows, indent=2) if args.json else describe.rows_text(rows))
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print one window's manifest and first users, one user's record, or why a label is so."""
    if args.explain:
        return _run_explain(args)
    if args.spec or args.source or args.state:
        raise UsageError("--spec, --source, --state: expected beside --explain REQUEST ITEM")
    from schemas.windows import WindowStore, describe

    store = WindowStore(args.store)
    shown = describe.show(store, _start_ms(args.window), args.user, args.limit)
    print(json.dumps(shown, ensure_ascii=False) if args.json else describe.shown_text(shown))
    return 0


def _run_explain(args: argparse.Namespace) -> int:
    """1 if what is stored is not what the rules give."""
    from millstream.explained import Question, explained
    from pipelines.explain.text import as_json, as_text

    if args.spec is None:
        raise UsageError("--explain: expected --spec FILE, the stream spec of the windows")
    request_id, item_id = args.explain
    asked = Question(
        store=args.store,
        start_ms=_start_ms(args.window),
        request_id=request_id,
        item_id=item_id,
        user_id=args.user,
        source=args.source,
        state=args.state or args.store.with_name(f"{args.store.name}.state"),
        now_ms=time.time_ns() // 1_000_000,
    )
    story = explained(asked, load(args.spec))
    if args.json:
        print(json.dumps(as_json(story), ensure_ascii=False, indent=2))
    else:
        print(as_text(story))
    return 0 if story.agrees else 1


def run_verify(args: argparse.Namespace) -> int:
    """Print every problem; 1 if there is one."""
    from schemas.windows import WindowStore

    store = WindowStore(args.store)
    starts = [_start_ms(args.window)] if args.window else _sealed(args.store)
    problems: list[str] = []
    with console.progress("verifying", len(starts), "windows") as advance:
        for start_ms in starts:
            problems += store.verify(start_ms)
            advance(1)
    print(_verdict(len(starts), problems, args.json))
    return 1 if problems else 0


def run_report(args: argparse.Namespace) -> int:
    """Write plots and their page, and print where they are and what was left out."""
    from millstream.report import write_report
    from schemas.windows import WindowStore

    spec = load(args.spec) if args.spec else None
    with console.progress("reading", len(_sealed(args.store)), "windows") as advance:
        written = write_report(WindowStore(args.store), args.out, spec, advance)
    print(_written_json(written) if args.json else written_text(written))
    return 0


def written_text(written: "Written") -> str:
    """Where the page is and what is not on it, for a person."""
    left_out = [f"  left out: {title} ({why})" for title, why in written.left_out.items()]
    return "\n".join([f"{written.page}: {len(written.plots)} plots", *left_out])


def _written_json(written: "Written") -> str:
    plots = [str(plot) for plot in written.plots]
    shown = {"page": str(written.page), "plots": plots, "left_out": written.left_out}
    return json.dumps(shown, indent=2)


def _verdict(windows: int, problems: list[str], as_json: bool) -> str:
    if as_json:
        verdict: dict[str, Any] = {"windows": windows, "problems": problems}
        return json.dumps(verdict, indent=2)
    return "\n".join([*problems, f"{windows} windows read, {len(problems)} problems"])


def _start_ms(name: str) -> int:
    from schemas.windows import window_start

    start_ms = window_start(name)
    if start_ms is None:
        raise UsageError(f"WINDOW: expected a window's name such as {EXAMPLE}, received {name!r}")
    return start_ms


def _sealed(store: Path) -> list[int]:
    """The starts of all windows that have a manifest, readable or not."""
    from schemas.windows.names import MANIFEST, window_start

    if not store.is_dir():
        raise StoreError(f"{store}: expected a folder of windows, received nothing there")
    starts = (window_start(manifest.parent.name) for manifest in store.glob(f"*/{MANIFEST}"))
    return sorted(start_ms for start_ms in starts if start_ms is not None)
