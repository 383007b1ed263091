"""When a version is due: after so many windows or samples, or as soon as it is better."""

from dataclasses import dataclass

from learner.gate import GateConfig, decide
from learner.scoring import Verdict
from models.layout import Layout


@dataclass(frozen=True)
class Interval:
    """What makes a version due; whatever comes first does."""

    windows: int
    """Learned since the version before."""
    samples: int | None = None
    """Labelled ones of the gate's main task, scored since the version before; None: any number."""
    when_better: bool = False
    """Also when there is a champion and the gate would let the version pass beside it."""

    def is_over(self, windows: int, since: Verdict, layout: Layout, gate: GateConfig) -> bool:
        """Whether a version is due, `windows` windows after the one before."""
        if windows >= self.windows:
            return True
        task = layout.tasks.index(gate.task)
        scored = since.model.normalised_entropy.samples_by_cell()[task, -1]
        if self.samples is not None and scored >= self.samples:
            return True
        better = self.when_better and since.shadow is not None
        return better and decide(since, layout, gate).passed
