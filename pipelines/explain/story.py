"""What an explanation says: one sample, each of its labels, and whether the rules agree."""

from dataclasses import dataclass, field

from pipelines.explain.considered import Considered, FlagNote
from pipelines.explain.provenance import Likeness
from schemas.windows.sample import Label, SealedSample


@dataclass(frozen=True)
class Moment:
    """A label from a cut on, and the window that shows it or carries it as a revision."""

    window: str
    cut_ms: int
    label: Label
    retraction: bool = False
    late: bool = False


@dataclass(frozen=True)
class Ruled:
    """The label that the rules give from a cut on."""

    cut_ms: int
    label: Label


@dataclass(frozen=True)
class Made:
    """Whence a request came that a click made; null what only the events could tell.

    `query_request` is the request whose query it is, if the path is `own`; `likeness` is that of
    a negative to the `positive`.
    """

    source_request: str
    positive: str
    click: FlagNote | None
    query_path: str
    query_score: float | None
    query_request: str | None
    likeness: Likeness | None
    floor: float


@dataclass(frozen=True)
class TaskStory:
    """One label: what the window showed, what revisions followed, why.

    `ruled` is what the rules give over the events; None without them. `problems` say where they
    differ from what is stored.
    """

    task: str
    stream: str
    horizon_ms: int
    closes_ms: int
    open: bool
    stored: tuple[Moment, ...]
    ruled: tuple[Ruled, ...] | None = None
    considered: tuple[Considered, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Story:
    """One sample explained. `last_cut_ms` is None where the input was declared complete."""

    sample: SealedSample
    last_cut_ms: int | None
    made: Made | None
    tasks: tuple[TaskStory, ...]
    flags: tuple[FlagNote, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def compared(self) -> bool:
        """Whether the rules were evaluated over events."""
        return bool(self.problems) or any(task.ruled is not None for task in self.tasks)

    @property
    def agrees(self) -> bool:
        """Whether the rules over the events gave what is stored, wherever they were asked."""
        return not self.problems and not any(task.problems for task in self.tasks)
