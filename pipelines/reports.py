"""What the stages of one run tell beside their output, and how it is added up."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import packets
from pipelines.dead_letters import DEAD_LETTER_SCHEMA
from pipelines.steps.step import Tables


@dataclass(frozen=True)
class Report:
    """Counts by name, dead letters as a packet, the newest accepted event of each file or
    partition, sealed windows.
    """

    counts: Counter[str] = field(default_factory=Counter)
    dead_letters: bytes = b""
    newest_ms: Mapping[str, int] = field(default_factory=dict)
    sealed: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, counts: Counter[str], letters: pa.Table, newest_ms: Mapping[str, int] | None = None
    ) -> "Report":
        """A report on events that were read."""
        packed = packets.encode({"dead_letters": letters}) if letters.num_rows else b""
        return cls(counts, packed, newest_ms or {})

    @classmethod
    def of_outputs(cls, outputs: Tables) -> "Report":
        """A report out of a step's `counts` and `dead_letters`, where it has such."""
        rows = outputs["counts"].to_pylist() if "counts" in outputs else []
        letters = outputs.get("dead_letters", DEAD_LETTER_SCHEMA.empty_table())
        counts = Counter({row["name"]: row["count"] for row in rows})
        streams, reasons = letters["stream"].to_pylist(), letters["reason"].to_pylist()
        for stream, reason in zip(streams, reasons, strict=True):
            counts[f"dead/{stream}/{reason}"] += 1
        return cls.of(counts, letters)

    def to_bytes(self) -> bytes:
        """The report as a packet."""
        meta = {
            "counts": dict(sorted(self.counts.items())),
            "newest_ms": dict(self.newest_ms),
            "sealed": self.sealed,
        }
        told = pa.table({"report": [json.dumps(meta)]})
        return packets.encode({"report": told, "dead_letters": self.letters()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Report":
        """Back from `to_bytes`."""
        tables = packets.decode(data)
        meta = json.loads(tables["report"]["report"][0].as_py())
        report = cls.of(Counter(meta["counts"]), tables["dead_letters"], meta["newest_ms"])
        return replace(report, sealed=tuple(meta["sealed"]))

    def letters(self) -> pa.Table:
        """The dead letters as a table."""
        if not self.dead_letters:
            return DEAD_LETTER_SCHEMA.empty_table()
        return packets.decode(self.dead_letters)["dead_letters"]


def add_up(reports: Iterable[Report]) -> Report:
    """One report; dead letters by (stream, source, position, reason, bytes), windows by name."""
    counts: Counter[str] = Counter()
    letters = [DEAD_LETTER_SCHEMA.empty_table()]
    newest_ms: dict[str, int] = {}
    sealed: list[str] = []
    for report in reports:
        counts.update(report.counts)
        letters.append(report.letters())
        for name, time_ms in report.newest_ms.items():
            newest_ms[name] = max(time_ms, newest_ms.get(name, time_ms))
        sealed += report.sealed
    keys = [(name, "ascending") for name in _LETTER_KEYS]
    joined = pa.concat_tables(letters)
    ordered = joined.take(pc.sort_indices(joined, sort_keys=keys))
    return replace(Report.of(counts, ordered, newest_ms), sealed=tuple(sorted(sealed)))


_LETTER_KEYS = ("stream", "source", "position", "reason", "raw")
"""Their order is that of the letters, whatever order shards report in: a row names a letter."""
