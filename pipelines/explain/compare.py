"""Whether what is stored of a label is what the rules give."""

from collections.abc import Iterator, Sequence

from pipelines.explain.samples import Sample
from pipelines.explain.story import Moment, Ruled
from pipelines.explain.words import of_label, when
from schemas.windows.names import window_name
from schemas.windows.sample import Label, SealedRevision, SealedSample


def stored_moments(
    sample: SealedSample, revisions: Sequence[SealedRevision], task: str
) -> tuple[Moment, ...]:
    """The label of a task that the window shows, then those of its revisions."""
    first = sample.manifest
    shown = Moment(window_name(first.window_start_ms), first.cut_ms, sample.labels[task])
    later = [
        Moment(
            window_name(one.manifest.window_start_ms),
            one.manifest.cut_ms,
            one.new,
            one.retraction,
            one.late,
        )
        for one in revisions
    ]
    return (shown, *later)


def broken_chain(revisions: Sequence[SealedRevision], stored: tuple[Moment, ...]) -> list[str]:
    """Revisions whose old label is not the one that was published before."""
    return [
        f"the revision in window {window_name(one.manifest.window_start_ms)} says that the label "
        f"was {of_label(one.old)}; published before it was {of_label(before.label)}"
        for one, before in zip(revisions, stored, strict=False)
        if one.old.differs(before.label)
    ]


def differences(stored: tuple[Moment, ...], ruled: Sequence[Ruled]) -> Iterator[str]:
    """Where the window or a revision shows something else than the rules give."""
    window, expected = stored[0], ruled[0].label
    if window.label.differs(expected) or window.label.open != expected.open:
        yield (
            f"window {window.window} shows {_label(window.label)}; the rules over these events "
            f"give {_label(expected)}"
        )
    carried = {moment.cut_ms: moment for moment in stored[1:]}
    due = {moment.cut_ms: moment.label for moment in ruled[1:]}
    for cut_ms in sorted({*carried, *due}):
        moment, label = carried.get(cut_ms), due.get(cut_ms)
        if moment is None and label is not None:
            yield (
                f"no window carries a revision at the cut of {when(cut_ms)}; the rules over these "
                f"events give one to {_label(label)}"
            )
        elif moment is not None and label is None:
            yield (
                f"window {moment.window} carries a revision to {_label(moment.label)}; the rules "
                "over these events give none at its cut"
            )
        elif moment is not None and label is not None and moment.label != label:
            yield (
                f"window {moment.window} carries a revision to {_label(moment.label)}; the rules "
                f"over these events give one to {_label(label)}"
            )


def _label(label: Label) -> str:
    return f"{of_label(label)}, {'open' if label.open else 'closed'}"


def other_facts(stored: SealedSample, ruled: Sample) -> Iterator[str]:
    """Origin, position and probability."""
    for name in ("origin", "position", "probability"):
        shown, expected = getattr(stored, name), getattr(ruled, name)
        if shown != expected:
            yield f"the window shows {name} {shown}; the rules over these events give {expected}"
