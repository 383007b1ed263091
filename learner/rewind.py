"""Going back to a registered version: a state goes on from that version's checkpoint."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from learner.checkpoint import DAMAGE, Checkpoints
from learner.journal import Journal
from learner.lock import locked
from learner.progress import Progress
from schemas.errors import UserError


@dataclass(frozen=True)
class Rewind:
    """What a rewind did."""

    lineage: str
    """Of the state that learning goes on from."""
    windows: tuple[int, ...]
    """Starts of the windows that it left behind, the one in progress among them."""
    skipped: bool
    """Whether these are passed over from now on; else they are learned again."""
    step: int
    """By which the next window's metrics are logged: after all that were logged before."""


def rewind(state: Path, lineage: str, *, skip: bool) -> Rewind:
    """Let the learner of a state folder go on from the version with that lineage.

    The windows learned since are marked as skipped, or learned again where they stand in the
    store. Metrics that were logged stay; what is learned from now on gets steps of its own.

    Raises UserError if a learner holds the folder, or if no checkpoint of that version is kept.
    """
    _expect_state(state)
    with locked(state):
        checkpoints = Checkpoints(state / "checkpoints")
        newest = checkpoints.newest()
        pinned = checkpoints.pins.of(lineage)
        if newest is None or pinned is None:
            raise _not_kept(state, lineage, checkpoints)
        try:
            saved = checkpoints.read(checkpoints.folder / pinned)
            target = Progress.from_json(saved.state["progress"])
        except DAMAGE as error:
            raise _damaged(checkpoints.folder / pinned, error) from error
        length, step = Journal(state / "metrics.jsonl").whole()
        left = _left_behind(Progress.from_json(newest.state["progress"]), target)
        progress = _continued(target, left if skip else {}, step)
        checkpoints.begin_again(pinned, _state_of(saved.state, progress, length))
    return Rewind(progress.lineage, tuple(left), skip, progress.step)


def _state_of(state: Any, progress: Progress, journal_bytes: int) -> dict[str, Any]:
    return {**state, "progress": progress.to_json(), "journal_bytes": journal_bytes}


def _left_behind(head: Progress, target: Progress) -> dict[int, str]:
    """The windows that the head has begun and the target has not, with their digests."""
    begun = dict(zip(head.consumed, head.digests, strict=True))
    if head.current is not None:
        begun[head.current.start_ms] = head.current.digest
    return {start: digest for start, digest in begun.items() if start not in target.consumed}


def _continued(target: Progress, skipped: dict[int, str], step: int) -> Progress:
    """The progress to go on with: the steps that were logged before are not logged again."""
    progress = target
    for start_ms, digest in skipped.items():
        progress = progress.skip(start_ms, digest)
    return replace(progress, undone=max(step - len(progress.consumed), 0))


def _expect_state(state: Path) -> None:
    if not (state / "checkpoints").is_dir():
        raise UserError(
            f"{state}: expected the state folder of a learner, received "
            f"{'one without checkpoints' if state.is_dir() else 'no folder'}. Name the folder "
            "that the learner was given with --state."
        )


def _not_kept(state: Path, lineage: str, checkpoints: Checkpoints) -> UserError:
    kept = ", ".join(sorted(one[:12] for one in checkpoints.pins.lineages())) or "none"
    return UserError(
        f"{state}: expected a checkpoint of the version with lineage {lineage[:12]}, received "
        f"none; kept are those of lineages {kept}. Name a version that this state folder's "
        "learner registered and that is not retired (`millstream models ls`), or begin an empty "
        "state folder."
    )


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: expected the whole checkpoint of a version, received a damaged one ({error}). "
        "Restore it from a copy, or name another version. Nothing was changed."
    )
