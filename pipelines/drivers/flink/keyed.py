"""A step over keyed state: what comes in waits for its cut, whose timer advances the shard."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.utils.timestamp import MIN_TIMESTAMP

from pipelines import packets
from pipelines.drivers.flink.carrier import Bytes
from pipelines.drivers.flink.cuts import DUE, cut_at, moment_of
from pipelines.drivers.flink.shard_state import Cells, ShardState
from pipelines.graph import REPORT, Packet, packets_and_reports
from pipelines.reports import Report
from pipelines.steps.step import NO_CUT, Step, Tables

_TOLD = ("counts", "dead_letters")
"""Outputs that go into reports only."""

_CUT_BYTES = 8


@dataclass
class KeyedStep(beam.PTransform[Any, Any]):
    """Advance every shard at each of its cuts."""

    step: Step

    def expand(self, inputs: Any) -> Any:
        return packets_and_reports(inputs, beam.ParDo(_Advance(self.step)))


class _Advance(beam.DoFn):
    """Packets of the source carry no time: they were read after the last cut that has fired.

    Packets of a stage before carry the cut that made them, and act at it. The timer of a cut
    fires when all of these have come.
    """

    HELD = BagStateSpec("held", BytesCoder())
    MAIN = ReadModifyWriteStateSpec("main", BytesCoder())
    APART = BagStateSpec("apart", BytesCoder())
    CUT = TimerSpec("cut", TimeDomain.WATERMARK)

    def __init__(self, step: Step) -> None:
        self.step, self.carrier = step, Bytes()

    def process(
        self,
        element: Packet,
        timestamp: Any = beam.DoFn.TimestampParam,
        held: Any = beam.DoFn.StateParam(HELD),
        timer: Any = beam.DoFn.TimerParam(CUT),
    ) -> None:
        """Keep a packet, and be woken at its cuts."""
        _, data = element
        read = timestamp <= MIN_TIMESTAMP
        cuts = _due(data) if read else [cut_at(timestamp)]
        held.add(_with_cut(NO_CUT if read else cuts[0], data))
        for cut in cuts:
            timer.set(moment_of(cut), dynamic_timer_tag=str(cut))

    @on_timer(CUT)
    def at_cut(
        self,
        shard: Any = beam.DoFn.KeyParam,
        timestamp: Any = beam.DoFn.TimestampParam,
        held: Any = beam.DoFn.StateParam(HELD),
        main: Any = beam.DoFn.StateParam(MAIN),
        apart: Any = beam.DoFn.StateParam(APART),
    ) -> Iterator[Any]:
        """Take in what was read before this cut, evaluate it, give what comes of it."""
        cut, cells = cut_at(timestamp), Cells(main, apart)
        before = cells.load()
        if cut <= before.last_cut:
            return
        read, made = _taken(held, cut)
        outputs = []
        state = before.tables
        if read:
            state, told = self.step.advance(state, self._merged(read), before.last_cut)
            outputs.append(told)
        state, told = self.step.advance(state, self._merged(made), cut)
        outputs.append(told)
        cells.save(before, ShardState(cut, state))
        for one in outputs:
            yield from self._given(shard, one)

    def _given(self, shard: int, outputs: Tables) -> Iterator[Any]:
        """A packet and a report, unless they would hold nothing."""
        going_on = {name: table for name, table in outputs.items() if name not in _TOLD}
        if any(table.num_rows for table in going_on.values()):
            yield shard, self.carrier.pack(going_on)
        report = Report.of_outputs(outputs)
        if report.counts:
            yield beam.pvalue.TaggedOutput(REPORT, report)

    def _merged(self, inputs: Iterable[bytes]) -> Tables:
        merged = packets.merge(self.carrier.unpack(data) for data in inputs)
        merged.pop(DUE, None)
        return merged


def _due(data: bytes) -> list[int]:
    return [int(cut) for cut in packets.decode(data)[DUE]["cut"].to_pylist()]


def _with_cut(cut: int, data: bytes) -> bytes:
    return cut.to_bytes(_CUT_BYTES, "little", signed=True) + data


def _taken(held: Any, cut: int) -> tuple[list[bytes], list[bytes]]:
    """Take what was read, and what was made up to a cut, off the bag; the rest stays."""
    read: list[bytes] = []
    made: list[bytes] = []
    staying: list[bytes] = []
    for entry in held.read():
        own = int.from_bytes(entry[:_CUT_BYTES], "little", signed=True)
        (read if own == NO_CUT else made if own <= cut else staying).append(entry)
    held.clear()
    for entry in staying:
        held.add(entry)
    return _without_cut(read), _without_cut(made)


def _without_cut(entries: list[bytes]) -> list[bytes]:
    return [entry[_CUT_BYTES:] for entry in entries]
