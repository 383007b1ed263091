"""Who serves: the alias `champion` of a registered model, and the record of how it moved.

A person moves the alias in MLflow's UI, or with `millstream models`. Each move is a line of the
registered model's tag `champion_history`; a move in the UI is noted by the learner that sees it.
"""

import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from schemas.errors import UserError

CHAMPION = "champion"
CHALLENGER = "challenger"
HISTORY = "champion_history"
KEPT_MOVES = 25
"""What a tag's 8,000 characters have room for."""
ELSEWHERE = "MLflow's UI or API"


@dataclass(frozen=True)
class Move:
    """One move of the alias."""

    version: str
    """The champion since; empty if the alias was removed."""
    previous: str
    """The one before; empty if there was none."""
    at: str
    """UTC, ISO 8601."""
    by: str
    why: str
    rollback: bool = False
    """Whether it gave the alias back to one before, and so ends what came after that one."""


def champion_of(client: MlflowClient, name: str) -> str | None:
    """The number of the version that serves. Raises MlflowException if nobody answers."""
    try:
        return str(client.get_model_version_by_alias(name, CHAMPION).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def history(client: MlflowClient, name: str) -> list[Move]:
    """All moves that are remembered, the last one last."""
    text = client.get_registered_model(name).tags.get(HISTORY, "[]")
    return [Move(**move) for move in json.loads(text)]


def promote(client: MlflowClient, name: str, version: str, why: str) -> Move:
    """Make a version the champion. Raises UserError if there is no such version."""
    note_moves(client, name)
    return _moved(client, name, resolved(client, name, version), why, rollback=False)


def _moved(client: MlflowClient, name: str, version: str, why: str, *, rollback: bool) -> Move:
    previous = champion_of(client, name) or ""
    if previous == version:
        raise UserError(
            f"{name}: expected a version other than the champion, received {version}, which "
            "serves already. See `millstream models ls`."
        )
    client.set_registered_model_alias(name, CHAMPION, version)
    move = Move(version, previous, _now(), getpass.getuser(), why, rollback)
    _remember(client, name, move)
    return move


def rollback(client: MlflowClient, name: str, why: str) -> Move:
    """Give the alias back to the champion before. Raises UserError if there was none."""
    note_moves(client, name)
    before = before_present(history(client, name))
    if before is None:
        raise UserError(
            f"{name}: expected a champion before this one, received no record of one. Name the "
            "version that is to serve: millstream models promote VERSION."
        )
    return _moved(client, name, resolved(client, name, before), why, rollback=True)


def note_moves(client: MlflowClient, name: str) -> Move | None:
    """Note a move that somebody made without a note; gives it."""
    current = champion_of(client, name) or ""
    moves = history(client, name)
    last = moves[-1].version if moves else ""
    if current == last:
        return None
    move = Move(current, last, _now(), ELSEWHERE, "")
    _remember(client, name, move)
    return move


def resolved(client: MlflowClient, name: str, version: str) -> str:
    """A version's number, from a number or an alias. Raises UserError if there is none."""
    try:
        if version.isdigit():
            return str(client.get_model_version(name, version).version)
        return str(client.get_model_version_by_alias(name, version).version)
    except MlflowException as error:
        raise UserError(
            f"{name}: expected the number or an alias of a registered version, received "
            f"{version!r} ({error.message}). See `millstream models ls`."
        ) from error


def before_present(moves: Sequence[Move]) -> str | None:
    """Who a rollback gives the alias to: a second one goes further back, not forth again."""
    served: list[str] = []
    for move in moves:
        if move.rollback and move.version in served:
            del served[len(served) - served[::-1].index(move.version) :]
        elif move.version:
            served.append(move.version)
    return served[-2] if len(served) > 1 else None


def _remember(client: MlflowClient, name: str, move: Move) -> None:
    moves = [*history(client, name), move][-KEPT_MOVES:]
    values: list[dict[str, Any]] = [asdict(one) for one in moves]
    client.set_registered_model_tag(name, HISTORY, json.dumps(values))
    if move.version:
        tags = {"promoted_at": move.at, "promoted_by": move.by, "promoted_because": move.why}
        for key, value in tags.items():
            client.set_model_version_tag(name, move.version, key, value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
