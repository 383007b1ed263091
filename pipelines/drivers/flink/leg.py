"""What one call of the Kafka reader has to do, and how Beam cuts it off where the call ends."""

import json
from dataclasses import asdict, dataclass, field, replace

from apache_beam.coders import Coder
from apache_beam.io.iobase import RestrictionTracker

from pipelines.drivers.direct.journal import Commit


@dataclass(frozen=True)
class Leg:
    """Reading on from a commit, unless all that this leg had to read was read."""

    commit: Commit = field(default_factory=Commit)
    done: bool = False


class LegCoder(Coder):
    """Legs as JSON: a checkpoint holds them, which a later version may have to read."""

    def encode(self, value: Leg) -> bytes:
        return json.dumps(asdict(value)).encode()

    def decode(self, encoded: bytes) -> Leg:
        values = json.loads(encoded)
        return Leg(**{**values, "commit": Commit.from_json(values["commit"])})

    def is_deterministic(self) -> bool:
        return True


class LegTracker(RestrictionTracker):
    """Claims commits: whoever claims one reads all up to it; None claims that no more comes.

    Where the input ends is no part of a leg: a job that goes on from a checkpoint may be told of
    an end that the one before did not know.
    """

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def current_restriction(self) -> Leg:
        return self._leg

    def try_claim(self, position: Commit | None) -> bool:
        if self._leg.done:
            return False
        done = position is None
        self._leg = replace(self._leg, commit=position or self._leg.commit, done=done)
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[Leg, Leg] | None:
        """The rest becomes a leg of its own; a part of the rest cannot be told from it."""
        if fraction_of_remainder != 0 or self._leg.done:
            return None
        residual = self._leg
        self._leg = replace(residual, done=True)
        return self._leg, residual

    def check_done(self) -> bool:
        if not self._leg.done:
            raise ValueError("expected a leg that was read to its end or cut off, received neither")
        return True

    def is_bounded(self) -> bool:
        return False
