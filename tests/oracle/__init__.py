"""A slow, obvious reading of the rules of time and labels, one small function per sentence.

It is written from the rules alone and shares no code with the pipeline that it checks: plain
lists and dicts, and a loop over cuts one by one. Rules 3, 9 and 10 exist only where the spec
declares a target domain.
"""

from tests.oracle.run import run
from tests.oracle.schedule import Event, Outcome, Read, Schedule, Seal, SealAll, WindowOutcome

__all__ = ["Event", "Outcome", "Read", "Schedule", "Seal", "SealAll", "WindowOutcome", "run"]
