"""To whom a state belongs: spec, numbers of shards, version; and how it is handed on.

State is never changed in place. Another spec or another number of shards makes a new generation of
it in a folder of its own; then `identity.json` is replaced, which is the one step that counts, and
the old generation goes. A crash before leaves the old one whole.
"""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.drivers.direct.journal import Journal
from pipelines.drivers.direct.rewrite import migrated, resharded
from pipelines.drivers.direct.state_store import StateStore
from schemas.durable import read_json, write_json
from schemas.errors import UserError
from schemas.spec import Spec, growth, spec_digest, spec_values

STATE_VERSION = 5
OLDEST_VERSION = 3
"""The oldest one that can be handed on."""

DIRECT = "direct"
SHARDS = 16
"""Of windows that nobody gave a number."""

TOGETHER = 4
"""Up to so many shards of windows are one of the state: to advance a shard costs as much as a few
thousand events in it, and a shard of the state is in memory as a whole."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What stands in `identity.json`. Version 3 did not keep the values of its spec.

    `shards` are those of windows, `state_shards` those of the state: a divisor of it, so that all
    users of a shard of windows are in one of the state. None: as many.
    """

    spec: str
    shards: int
    state_version: int = STATE_VERSION
    spec_values: Mapping[str, Any] | None = None
    generation: int = 0
    runner: str = DIRECT
    state_shards: int | None = None

    @classmethod
    def of(cls, spec: Spec, shards: int, runner: str = DIRECT) -> "Identity":
        """Of a new state."""
        values = _plain(spec_values(spec))
        return cls(spec_digest(spec), shards, spec_values=values, runner=runner)

    def with_shards(self, shards: int) -> "Identity":
        """With so many shards of windows, and of the state as many as that needs."""
        together = max(n for n in range(1, TOGETHER + 1) if shards % n == 0)
        return replace(self, shards=shards, state_shards=shards // together)

    @property
    def shards_of_state(self) -> int:
        """How many shards the state has."""
        return self.shards if self.state_shards is None else self.state_shards

    def folder(self, state: Path) -> Path:
        """Where this generation's shards are."""
        return state / (f"shards-{self.generation}" if self.generation else "shards")


def stored_identity(state: Path) -> Identity | None:
    """Whose state this is; None if it is nobody's. Raises UserError if no version here reads it."""
    path = state / "identity.json"
    if not path.exists():
        return None
    values = read_json(path)
    version = values["state_version"]
    if not OLDEST_VERSION <= version <= STATE_VERSION:
        raise UserError(
            f"{path}: expected state of version {OLDEST_VERSION} to {STATE_VERSION}, received "
            f"version {version}. Run the version of millstream that made it, or a newer one; or "
            "give an empty --state and an empty --windows to start anew."
        )
    return Identity(**values)


def adopted(state: Path, spec: Spec, shards: int | None) -> Identity:
    """The identity of a state that is about to be used, after it was handed on to a grown spec.

    Raises UserError, before anything is touched, if that cannot be or the shards differ.
    """
    there = stored_identity(state)
    if there is None:
        number = shards or SHARDS
        fresh = Identity.of(spec, number).with_shards(number)
        write_json(state / "identity.json", asdict(fresh))
        return fresh
    _expect_runner(state, there, DIRECT)
    _sweep(state, there)
    if shards not in (None, there.shards):
        raise UserError(
            f"{state / 'identity.json'}: expected shards {shards}, received {there.shards}. Leave "
            f"--shards out, or run `millstream pipeline rescale --state {state} --shards {shards}`."
        )
    mine = replace(
        Identity.of(spec, there.shards),
        generation=there.generation,
        state_shards=there.state_shards,
    )
    if mine == there:
        return there
    return _grown(state, there, mine, spec)


def kept(state: Path, spec: Spec, shards: int | None, runner: str) -> Identity:
    """The identity of a state that this runner cannot hand on: it must be as it is.

    Raises UserError if spec, shards, version or runner differ.
    """
    there = stored_identity(state)
    mine = Identity.of(spec, shards or (there.shards if there else SHARDS), runner)
    if there is None:
        write_json(state / "identity.json", asdict(mine))
        return mine
    _expect_runner(state, there, runner)
    for name in ("spec", "shards", "state_version"):
        expected, received = getattr(mine, name), getattr(there, name)
        if expected != received:
            raise UserError(
                f"{state / 'identity.json'}: expected {name} {expected!r}, received {received!r}. "
                f"State of the {runner} runner does not go on under another one: run with the "
                "spec and --shards as before, or give an empty --state; windows that are sealed "
                "already stay as they are."
            )
    return there


def _expect_runner(state: Path, there: Identity, runner: str) -> None:
    if there.runner != runner:
        raise UserError(
            f"{state}: expected state of the {runner} runner, received state of the "
            f"{there.runner} one. Give an empty --state; windows that are sealed already stay as "
            "they are."
        )


def rescaled(state: Path, shards: int) -> Identity:
    """Deal a state out to so many shards. Raises UserError, before anything is touched."""
    there = stored_identity(state)
    if there is None:
        raise UserError(f"{state}: expected the state of a pipeline, received none there")
    _expect_runner(state, there, DIRECT)
    if there.state_version != STATE_VERSION:
        raise UserError(
            f"{state}: expected state of version {STATE_VERSION}, received version "
            f"{there.state_version}. Run the pipeline once (--once): that hands it on."
        )
    _sweep(state, there)
    _refuse_half_written(state)
    after = replace(there.with_shards(shards), generation=there.generation + 1)
    if (there.shards, there.state_shards) == (after.shards, after.state_shards):
        return there
    epoch = Journal(state / "journal").last().epoch
    old, new = StateStore(there.folder(state)), StateStore(after.folder(state))
    resharded(old, new, epoch, after.shards_of_state)
    return _flip(state, after)


def _grown(state: Path, there: Identity, mine: Identity, spec: Spec) -> Identity:
    """The next generation, of the same events under a spec that has grown."""
    values = mine.spec_values if there.spec == mine.spec else there.spec_values
    if values is None:
        raise UserError(
            f"{state / 'identity.json'}: expected the spec of digest {there.spec[:12]}, received "
            f"one of {mine.spec[:12]}. This state does not say what its spec was, so that nobody "
            "can tell how it grew: run once with the spec as it was, then with the new one."
        )
    what = growth(values, mine.spec_values or {})
    if what.refused:
        raise UserError(_refusal(state, what.refused))
    _refuse_half_written(state)
    after = replace(mine, generation=there.generation + 1)
    epoch = Journal(state / "journal").last().epoch
    old, new = StateStore(there.folder(state)), StateStore(after.folder(state))
    migrated(old, new, epoch, values, spec)
    _log.info("the state goes on: %s", "; ".join(what.grown) or "written by an older version")
    return _flip(state, after)


def _refusal(state: Path, refused: Any) -> str:
    keys = "; ".join(
        f"{one.key}: expected {_short(one.old)}, received {_short(one.new)}. {one.why}"
        for one in refused
    )
    return (
        f"{state / 'identity.json'}: expected a spec that grew from the one this state was made "
        f"by. {keys}. Nothing was changed. Give the spec as it was, or an empty --state and an "
        "empty --windows to make all windows anew."
    )


def _short(value: Any) -> str:
    text = "none" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _refuse_half_written(state: Path) -> None:
    """An epoch that died may have written half of a window as the state was."""
    journal = Journal(state / "journal")
    commit = journal.last()
    pending = journal.pending(commit.epoch)
    if pending is not None and pending.cut > commit.cut:
        raise UserError(
            f"{state / 'journal'}: expected a run that ended after an epoch, received epoch "
            f"{pending.epoch}, which died while windows were written. Run once more with the spec "
            "and the shards as they were (--once), then again as you did now. Nothing was changed."
        )


def _flip(state: Path, after: Identity) -> Identity:
    """The one step that counts; then the old generation goes."""
    write_json(state / "identity.json", asdict(after))
    _sweep(state, after)
    return after


def _sweep(state: Path, current: Identity) -> None:
    """Remove generations that are not the current one: old ones, or what a crash left of a new."""
    for folder in (state / "shards", *state.glob("shards-*")):
        if folder != current.folder(state) and folder.exists():
            shutil.rmtree(folder)


def _plain(values: Any) -> Any:
    """As they come back from JSON: lists for tuples."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items()}
    return [_plain(one) for one in values] if isinstance(values, list | tuple) else values
