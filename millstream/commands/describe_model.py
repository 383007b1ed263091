"""`millstream models describe NAME`: what a model is made of and what it costs under a spec."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream.arguments import Subparsers, add_json
from schemas.errors import StoreError

if TYPE_CHECKING:
    from models.batch import UserBatch
    from models.description import Description
    from schemas.spec import Spec

USERS, CANDIDATES = 16, 8
"""Of the made-up batch."""


def add_action(actions: Subparsers) -> None:
    """Declare the action of `millstream models`."""
    one = actions.add_parser("describe", help="parameters, FLOPs, tokens and memory of a model")
    one.add_argument("name", metavar="NAME", help="mtfm, dlrm_mlp, …")
    one.add_argument("--spec", type=Path, required=True, metavar="FILE", help="the stream spec")
    one.add_argument("--preset", default="demo", help="of the model's sizes (%(default)s)")
    one.add_argument(
        "--windows",
        type=Path,
        metavar="DIR",
        help="count FLOPs on users of its newest window, not on made-up ones with full sequences",
    )
    add_json(one)
    one.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the model and print what it is."""
    from learner.config import learner_config, model_settings
    from models import create
    from models.description import describe
    from models.layout import Layout
    from models.optimisers import Optimisers
    from schemas.spec import load

    spec = load(args.spec)
    layout = Layout.of(spec)
    overrides = model_settings(spec, args.name).overrides
    model = create(args.name, layout, args.preset, overrides)
    optimiser = learner_config(spec, args.name, str(args.spec)).optimiser
    Optimisers(model, optimiser)  # It decides what is kept of each row.
    batch = _window(spec, args.windows) if args.windows else _made_up(spec)
    found = describe(model, batch)
    if args.json:
        print(json.dumps({"model": args.name, "preset": args.preset, **asdict(found)}, indent=2))
    else:
        print("\n".join([f"{args.name}, preset {args.preset}", *_lines(found)]))
    return 0


def _window(spec: "Spec", root: Path) -> "UserBatch":
    """The first users of the newest window that has any."""
    from learner.batches import user_batch
    from models.layout import Layout
    from schemas.windows import WindowStore
    from schemas.windows.packed import pack

    store = WindowStore(root)
    for manifest in reversed(store.windows()):
        for users in store.read_users(manifest.window_start_ms, spec, batch_users=256):
            return user_batch(pack(users), Layout.of(spec))
    raise StoreError(f"{root}: expected a sealed window with users, received none.")


def _made_up(spec: "Spec") -> "UserBatch":
    """A few users with full sequences and one request each."""
    from learner.requests import example_request, request_batch
    from models.layout import Layout

    one = example_request(spec)
    action, candidate = one["history"][0], one["candidates"][0]
    full: dict[str, Any] = one | {
        "history": [action] * spec.sequences.history,
        "recent": [action] * spec.sequences.recent,
        "candidates": [candidate] * CANDIDATES,
    }
    return request_batch([full] * USERS, spec, Layout.of(spec))


def _lines(found: "Description") -> list[str]:
    lines = [f"{'part':<16}{'parameters':>14}{'FLOPs an impression':>22}"]
    lines += [
        f"{name:<16}{part.parameters:>14,}{part.flops:>22,.0f}"
        for name, part in found.parts.items()
    ]
    lines.append(f"{'all':<16}{found.parameters:>14,}{found.flops:>22,.0f}")
    lines.append(
        f"FLOPs forward, of matrix products, over {found.impressions} impressions of "
        f"{found.users} users"
    )
    if found.tokens:
        kinds = ", ".join(f"{n / found.users:,.1f} {kind}" for kind, n in found.tokens.items())
        lines.append(f"tokens a user: {kinds}")
    return [*lines, *_memory(found)]


def _memory(found: "Description") -> list[str]:
    """Tables of one size in one line."""
    lines = [f"memory: {found.parameters * 4 / 1e6:,.1f} MB of dense weights in float32"]
    for size in dict.fromkeys(found.tables.values()):
        alike = sum(one == size for one in found.tables.values())
        lines.append(
            f"{alike} tables of up to {size.rows:,} rows, {size.width} wide: {size.row_bytes} "
            f"bytes a row, at most {size.rows * size.row_bytes / 1e6:,.0f} MB each"
        )
    return lines
