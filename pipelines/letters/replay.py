"""Dead letters sent again, each once, as the bytes they came as.

A letter is marked only after its bytes have arrived. Killed in between, the next replay sends some
again: to files under the same name, to Kafka as copies, which the pipeline counts as duplicates.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.dead_letters import FILE_REASONS
from pipelines.letters.box import REPLAYED, ROW, LetterBox, Wanted
from pipelines.sources.avro_blocks import MAGIC
from pipelines.sources.kafka.single_object import MARKER

LATE = "late"
CUT_SHORT = "kept in part only, for it was too large"
NO_EVENT = "no event in it"
PIECE = "a piece of a container"
LATE_AGAIN = "late, and would be again"
REPLAYED_BEFORE = "replayed before"

Values = Mapping[str, list[bytes]]
"""Bytes to send, by stream."""


class Target(Protocol):
    """Where replayed bytes go."""

    def refusal(self, stream: str, value: bytes) -> str | None:
        """Why it cannot take a value; None if it can."""

    def send(self, epoch: int, values: Values) -> None:
        """Send all of an epoch; when this returns they have arrived."""


@dataclass
class Replayed:
    """What was sent, by stream, and what was not, by reason why."""

    sent: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def replay(
    box: LetterBox,
    wanted: Wanted,
    target: Target,
    *,
    again: bool = False,
    advance: Callable[[int], None] = lambda letters: None,
) -> Replayed:
    """Send the wanted letters that were not sent before, or all of them `again`.

    Late ones are late again unless the state is new: they are sent only if that reason is named.
    """
    done = Replayed()
    for epoch, letters in box.letters(wanted):
        values: dict[str, list[bytes]] = defaultdict(list)
        rows = []
        for letter in letters.to_pylist():
            why = _refusal(letter, wanted, again) or target.refusal(letter["stream"], letter["raw"])
            if why is not None:
                done.left_out[why] += 1
                continue
            values[letter["stream"]].append(letter["raw"])
            rows.append(letter[ROW])
        if rows:
            target.send(epoch, values)
            box.mark(epoch, rows)
            done.sent.update({stream: len(some) for stream, some in values.items()})
        advance(letters.num_rows)
    return done


def _refusal(letter: Mapping[str, Any], wanted: Wanted, again: bool) -> str | None:
    """Why a letter is not to be sent anywhere; None if it is."""
    raw, reason = letter["raw"], letter["reason"]
    if letter[REPLAYED] and not again:
        return REPLAYED_BEFORE
    if letter["raw_bytes"] > len(raw):
        return CUT_SHORT
    if not raw or reason == "deleted" or reason in FILE_REASONS:
        return NO_EVENT
    if reason == "bad_avro" and not raw.startswith((MAGIC, MARKER)):
        return PIECE
    if reason == LATE and wanted.reason != LATE:
        return LATE_AGAIN
    return None
