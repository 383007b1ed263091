"""Opens all that one explanation needs: the store, the events, what the pipeline had read."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.explain.explain import Stored, explain
from pipelines.explain.story import Story
from pipelines.explain.words import when
from pipelines.steps.step import FINAL_CUT, NO_CUT
from schemas.errors import UserError
from schemas.spec import Spec
from schemas.windows import WindowStore, window_name
from schemas.windows.names import FINAL_MARK
from schemas.windows.sample import SealedSample, find_sample, revisions_of

if TYPE_CHECKING:
    from pipelines.explain.gather import Wanted


@dataclass(frozen=True)
class Question:
    """Which sample, and where to look; `now_ms` is the clock."""

    store: Path
    start_ms: int
    request_id: str
    item_id: str
    user_id: str | None
    source: Path | None
    state: Path
    now_ms: int


def explained(asked: Question, spec: Spec) -> Story:
    """The story of a sample. Raises UserError for what is not there."""
    store = WindowStore(asked.store)
    sample = find_sample(store, asked.start_ms, asked.request_id, asked.item_id, asked.user_id)
    if asked.source is None:
        return explain(_stored(store, sample, spec, _last_cut(store)), spec, None)
    return _over_events(asked, asked.source, store, sample, spec)


def _over_events(
    asked: Question, folder: Path, store: WindowStore, sample: SealedSample, spec: Spec
) -> Story:
    """With the events of the source; how far the pipeline is is asked before they are read."""
    from pipelines.explain.gather import gather
    from pipelines.explain.progress import progress_of
    from pipelines.sources.files import FilesSource

    source = FilesSource(folder, spec)
    progress = progress_of(asked.state, asked.store, source, sample.user_id)
    last_cut_ms = progress.last_cut_ms
    if last_cut_ms is None:
        last_cut_ms = _last_cut(store)
    elif last_cut_ms < sample.manifest.cut_ms:
        raise _behind(asked.state, sample, last_cut_ms)
    stored = _stored(store, sample, spec, last_cut_ms)
    events = gather(source, _wanted(sample), progress, asked.now_ms)
    story = explain(stored, spec, events)
    return replace(story, notes=(*story.notes, *progress.doubts(asked.state, events)))


def _wanted(sample: SealedSample) -> "Wanted":
    """Titles matter only between a negative and its positive."""
    from pipelines.explain.gather import Wanted

    negative = sample.origin == "searchified_negative" and sample.positive is not None
    titles = (sample.positive, sample.item_id) if negative and sample.positive else ()
    return Wanted(sample.user_id, sample.item_id, titles)


def _last_cut(store: WindowStore) -> int:
    """The last cut that a store without the pipeline's state tells of."""
    if (store.root / FINAL_MARK).exists():
        return FINAL_CUT
    return max(manifest.cut_ms for manifest in store.windows())


def _stored(store: WindowStore, sample: SealedSample, spec: Spec, last_cut_ms: int) -> Stored:
    """No label changes later than at the cut after the one that it closes before."""
    spans = [task.horizon_ms + task.retraction_horizon_ms for task in spec.tasks.values()]
    until_ms = sample.time_ms + max(spans, default=0) + spec.window.length_ms
    revisions = revisions_of(store, sample, min(until_ms, last_cut_ms))
    return Stored(sample, revisions, last_cut_ms)


def _behind(state: Path, sample: SealedSample, last_cut_ms: int) -> UserError:
    window = window_name(sample.manifest.window_start_ms)
    last = "has sealed nothing" if last_cut_ms == NO_CUT else f"is at {when(last_cut_ms)}"
    return UserError(
        f"{state}: expected the state of the pipeline that sealed window {window} at the cut of "
        f"{when(sample.manifest.cut_ms)}, received one that {last}. "
        "Name its state with --state, or wait until the epoch that is at work is committed."
    )
