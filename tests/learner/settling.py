"""Worlds whose labels change after the cut, and what a learner's settling makes of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from learner.baselines import ItemCtr
from learner.feed import Feed
from learner.journal import Entry
from learner.predictions import Placed
from learner.progress import Progress
from learner.scoring import judge
from learner.settled import Settling
from models.batch import UserBatch
from models.layout import Layout
from schemas.record import revision_schema
from schemas.spec import Spec, parse
from schemas.windows.store import WindowStore
from tests.learner.world import HOUR_MS, SPEC_TEXT, START_MS, records, revision, seal_parts

Rows = list[dict[str, Any]]
Predict = Callable[[UserBatch], Tensor]


def spec_of(click: str, buy: str, maturity: str = "0s") -> Spec:
    """The shop's spec with these settings of its two tasks."""
    text = SPEC_TEXT.replace('horizon = "10m"', click).replace('horizon = "30m"', buy)
    return parse(text.replace('length = "1h"', f'length = "1h"\nmaturity = "{maturity}"'), "shop")


def settle(root: Path, kept: Path, spec: Spec, predict: Predict) -> tuple[list[Entry], Placed]:
    """Score all windows in order, as the loop does; what settled, and the revisions in all."""
    feed = Feed(WindowStore(root), spec, Layout.of(spec), batch_users=3)
    settling, progress = Settling.of(spec, kept), Progress("")
    entries: list[Entry] = []
    revisions = unmatched = 0
    for manifest in WindowStore(root).windows():
        keeping = settling.predictions.keeping(manifest.window_start_ms, progress.step)
        with keeping as keeper, feed.keyed_batches(manifest) as batches:
            blank = ItemCtr.empty(len(feed.layout.tasks))
            judge(keeper.noting(batches), predict, blank, feed.layout, folded=keeper.fold)
            keeper.done()
        placed = settling.predictions.place(manifest.window_start_ms, feed.revisions(manifest))
        revisions, unmatched = revisions + placed.revisions, unmatched + placed.unmatched
        entries += settling.settled(manifest, progress)
        progress = progress.begin(manifest).finish()
    return entries, Placed(revisions, unmatched)


def write_changing_world(root: Path, rng: np.random.Generator, spec: Spec) -> None:
    """Some of eight hours, each with revisions of labels that were open at the cut before."""
    written: list[tuple[int, Rows]] = []
    for hour in np.flatnonzero(rng.random(8) < 0.7).tolist():
        start_ms = START_MS + hour * HOUR_MS
        revised = [
            row
            for earlier_ms, users in written
            for row in _changes(rng, users, _open_at(spec, earlier_ms, spec.window.cut(start_ms)))
        ]
        users = records(rng, start_ms, np.arange(int(rng.integers(not revised, 7))))
        written.append((start_ms, users.to_pylist()))
        table = pa.Table.from_pylist(revised, schema=revision_schema())
        seal_parts(root, start_ms, [users], [table], spec)


def _open_at(spec: Spec, start_ms: int, cut_ms: int) -> list[str]:
    """The tasks of which labels of that window may have been open one cut before this one."""
    last_ms = start_ms + HOUR_MS - 1
    return [
        task.name
        for task in spec.tasks.values()
        if last_ms + task.horizon_ms + task.retraction_horizon_ms > cut_ms - HOUR_MS
    ]


def _changes(rng: np.random.Generator, users: Rows, tasks: list[str]) -> Rows:
    """Revisions to random values, in the order of rule 12."""
    return [
        revision(user, request, place, task, float(rng.choice([0.0, 1.0, 2.5])))
        for user in users
        for request in user["requests"]
        for place in np.argsort(request["candidates"]["item_id"])
        for task in sorted(tasks)
        if request["candidates"]["labels"][task]["value"][place] is not None and rng.random() < 0.15
    ]
