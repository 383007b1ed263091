"""The state of step 1 for one shard, and how it is kept as tables."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.dead_letters import DEAD_LETTER_SCHEMA
from pipelines.steps.attribute.tables import (
    Credits,
    Feedback,
    Pairs,
    Requests,
    Retractions,
    Samples,
    Since,
)
from pipelines.steps.step import NO_CUT, SEGMENT, Tables


@dataclass(frozen=True)
class Memory:
    """What one shard remembers between two calls.

    `segments` hold the exposures as they were read, until their windows are sealed; `arrived`
    the feedback whose cut has not come; `unplaced` the pairs that no sample received, until they
    are counted; `waiting` the conversions that may yet go to a positive of rule 10; `since` the
    tasks that joined later, each with the last cut before: they have no labels up to it.
    """

    last_cut: int
    epoch: int
    requests: Requests
    samples: Samples
    feedback: Feedback
    credits: Credits
    unplaced: Pairs
    waiting: Pairs
    retractions: Retractions
    since: Since
    arrived: pa.Table | None
    segments: Mapping[int, pa.Table]

    @classmethod
    def of(cls, tables: Tables) -> "Memory":
        """The state that `tables` made; no tables, no state."""
        clock = tables.get("clock")
        return cls(
            last_cut=clock["last_cut"][0].as_py() if clock else NO_CUT,
            epoch=clock["epoch"][0].as_py() if clock else 0,
            requests=Requests.of(tables.get("requests")),
            samples=Samples.of(tables.get("samples")),
            feedback=Feedback.of(tables.get("feedback")),
            credits=Credits.of(tables.get("credits")),
            unplaced=Pairs.of(tables.get("unplaced")),
            waiting=Pairs.of(tables.get("waiting")),
            retractions=Retractions.of(tables.get("retractions")),
            since=Since.of(tables.get("since")),
            arrived=tables.get("arrived"),
            segments={
                int(name.removeprefix(SEGMENT)): table
                for name, table in tables.items()
                if name.startswith(SEGMENT)
            },
        )

    def tables(self) -> dict[str, pa.Table]:
        """The state as tables; unchanged segments are the same objects."""
        clock = pa.table({"last_cut": [self.last_cut], "epoch": [self.epoch]})
        tables = {
            "clock": clock,
            "requests": self.requests.table(),
            "samples": self.samples.table(),
            "feedback": self.feedback.table(),
            "credits": self.credits.table(),
            "unplaced": self.unplaced.table(),
            "waiting": self.waiting.table(),
            "retractions": self.retractions.table(),
            "since": self.since.table(),
        }
        if self.arrived is not None:
            tables["arrived"] = self.arrived
        return tables | {f"{SEGMENT}{epoch:06d}": t for epoch, t in self.segments.items()}


@dataclass
class Outputs:
    """What one call hands on: tables by name, dead letters, counts."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    dead_letters: list[pa.Table] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def finish(self) -> dict[str, pa.Table]:
        """All outputs as tables."""
        counts = sorted((name, count) for name, count in self.counts.items() if count)
        names = pa.array([name for name, _ in counts], pa.string())
        letters = pa.concat_tables([DEAD_LETTER_SCHEMA.empty_table(), *self.dead_letters])
        return self.tables | {
            "dead_letters": letters,
            "counts": pa.table({"name": names, "count": pa.array([c for _, c in counts])}),
        }
