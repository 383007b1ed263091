"""How far a learner has come: everything of its state that is not a tensor."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from learner.cursor import Cursor
from learner.lineage import lineage_past, next_lineage
from schemas.windows.manifest import Manifest


@dataclass(frozen=True)
class WindowRef:
    """A window by start, end and manifest digest."""

    start_ms: int
    end_ms: int
    digest: str

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The reference to a sealed window."""
        return cls(manifest.window_start_ms, manifest.window_end_ms, manifest.digest)


@dataclass(frozen=True)
class Training:
    """Sums over the training batches of the window in progress."""

    batches: int = 0
    bad_batches: int = 0
    samples: int = 0
    loss: float = 0.0
    """Sum of batch losses."""


@dataclass(frozen=True)
class Progress:
    """Cursor, lineage and counters."""

    lineage: str
    """Of the weights as they were before the window in progress."""
    cursor: Cursor = field(default_factory=Cursor)
    consumed: tuple[int, ...] = ()
    """Starts of all windows consumed, in order."""
    first: WindowRef | None = None
    last: WindowRef | None = None
    current: WindowRef | None = None
    """The window in progress: it has been scored, and is being trained on."""
    digests: tuple[str, ...] = ()
    """The manifest digests of the windows consumed."""
    since_version: int = 0
    """Windows consumed since the last registered version."""
    version: str = ""
    """Lineage of the last registered version."""
    bad_batches: int = 0
    training: Training = field(default_factory=Training)
    grown_from: str | None = None
    """The lineage that this one began from, under a spec that had less."""
    grown_at: int = 0
    """How many of the windows consumed belong to that one."""
    skipped: tuple[int, ...] = ()
    """Starts of the windows among those consumed that were not learned, by a person's decision."""
    undone: int = 0
    """How many steps, by which metrics are logged, rewinds have left behind."""

    @property
    def step(self) -> int:
        """Number of the window in progress, or of the next one, among all that were ever begun."""
        return len(self.consumed) + self.undone

    @property
    def version_here(self) -> str | None:
        """The lineage of the version that is exactly this state, if there is one."""
        return self.version if self.version == self.lineage and self.current is None else None

    @property
    def learned(self) -> int:
        """How many windows the weights were made of."""
        return len(self.consumed) - len(self.skipped)

    def begin(self, manifest: Manifest) -> Self:
        """A window was scored; training on it begins."""
        cursor = Cursor(manifest.window_start_ms, 0, complete=False)
        return replace(self, cursor=cursor, current=WindowRef.of(manifest), training=Training())

    def advance(self, cursor: Cursor, training: Training) -> Self:
        """A batch was consumed; the window stays in progress until `finish`."""
        bad = self.bad_batches + training.bad_batches - self.training.bad_batches
        return replace(self, cursor=cursor, training=training, bad_batches=bad)

    def finish(self) -> Self:
        """The window in progress was trained on: it becomes part of the lineage."""
        assert self.current is not None
        return replace(
            self,
            lineage=next_lineage(self.lineage, self.current.digest),
            cursor=replace(self.cursor, complete=True),
            consumed=(*self.consumed, self.current.start_ms),
            digests=(*self.digests, self.current.digest),
            first=self.first or self.current,
            last=self.current,
            current=None,
            since_version=self.since_version + 1,
        )

    def skip(self, start_ms: int, digest: str) -> Self:
        """The next window is not to be learned: the lineage says so."""
        return replace(
            self,
            lineage=lineage_past(self.lineage, digest),
            cursor=Cursor(start_ms, 0, complete=True),
            consumed=(*self.consumed, start_ms),
            digests=(*self.digests, digest),
            skipped=(*self.skipped, start_ms),
        )

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` was called on."""
        refs = {name: _ref(values[name]) for name in ("first", "last", "current")}
        return cls(
            **{
                **values,
                **refs,
                "cursor": Cursor(**values["cursor"]),
                "consumed": tuple(values["consumed"]),
                "digests": tuple(values["digests"]),
                "skipped": tuple(values.get("skipped", ())),
                "training": Training(**values["training"]),
            }
        )


def _ref(values: Mapping[str, Any] | None) -> WindowRef | None:
    return None if values is None else WindowRef(**values)
