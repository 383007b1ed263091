"""Prequential quality on KuaiRand: MTFM and DLRM-MLP against "item CTR so far".

Every window is scored before it is trained on. Quoted are the last three days (6 to 8 May): AUC,
and GAUC by user over the three days, each with a bootstrap interval over users. Nothing is tuned
on those days. Needs the sealed windows of a demo: `make demo` first, or name another `--work`.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score

from learner.config import learner_config, model_settings
from learner.feed import Feed
from learner.metrics.grouped_auc import auc_by_group
from learner.step import Step
from millstream.demo.place import MODELS, Place
from models import create
from models.batch import UserBatch
from models.layout import Layout
from models.optimisers import Optimisers
from schemas.spec import load
from schemas.windows import WindowStore

LAST_MS = 3 * 86_400_000
RESAMPLES = 500
TASKS = ("click", "long_view")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """Samples of the quoted stretch: scores and labels [n, tasks], users [n]."""

    score: Floats
    label: npt.NDArray[np.bool_]
    user: Ints


def main() -> None:
    """Print one table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("demo"))
    place = Place(parser.parse_args().work)
    if not (place.windows / "_FINAL").exists():
        print(f"SKIPPED kuairand_quality: no finished demo in {place.root}: make demo first")
        return
    scored = {"item_ctr": collect(place, None), **{m: collect(place, m) for m in MODELS}}
    for name, one in scored.items():
        for at, task in enumerate(TASKS):
            auc, gauc = interval(one, at, area), interval(one, at, grouped)
            print(f"{name:<10} {task:<10} AUC {auc}  GAUC {gauc}", flush=True)
    click = {name: grouped(one, 0, slice(None)) for name, one in scored.items()}
    figure("kuairand_gauc_mtfm_minus_dlrm", click["mtfm"] - click["dlrm_mlp"])
    figure("kuairand_gauc_dlrm_minus_item_ctr", click["dlrm_mlp"] - click["item_ctr"])


def figure(name: str, measured: float) -> None:
    """One line for the record; the goal is to be above zero."""
    print(f"FIGURE {name} {measured:.4f} 0 {'ok' if measured > 0 else 'short'}", flush=True)


def collect(place: Place, model: str | None) -> Scored:
    """Score every window, then train on it; keep the last three days' scores."""
    spec = load(place.spec)
    layout, store = Layout.of(spec), WindowStore(place.windows)
    columns = [layout.tasks.index(task) for task in TASKS]
    scorer = ItemCtr(columns) if model is None else Model(place, model, columns)
    feed = Feed(store, spec, layout, 256 if model is None else scorer.batch_users)
    windows = store.windows()
    parts = []
    for manifest in windows:
        batches = [batch for _, batch in feed.batches(manifest)]
        scores = [scorer.score(batch) for batch in batches]
        if manifest.window_end_ms > windows[-1].window_end_ms - LAST_MS:
            parts += [_scored(s, b, columns) for s, b in zip(scores, batches, strict=True)]
        scorer.train(batches)
    return Scored(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _scored(
    score: Floats, batch: UserBatch, columns: list[int]
) -> tuple[Floats, npt.NDArray[np.bool_], Ints]:
    user = batch.user[batch.request_user][batch.sample_request]
    return score, batch.labels[:, columns].numpy() > 0, user.numpy()


class Model:
    """A registered model with the learner's own training step."""

    def __init__(self, place: Place, name: str, columns: list[int]) -> None:
        self.columns = columns
        spec = load(place.spec)
        config = learner_config(spec, name, str(place.spec))
        self.batch_users = config.batch_users
        overrides = dict(model_settings(spec, name).overrides)
        self.model = create(name, Layout.of(spec), "demo", overrides, seed=config.seed)
        optimisers = Optimisers(self.model, config.optimiser)
        self.step = Step(self.model, optimisers, config.task_weights)

    def score(self, batch: UserBatch) -> Floats:
        self.model.eval()
        with torch.no_grad():
            return self.model(batch)[:, self.columns].double().numpy()

    def train(self, batches: list[UserBatch]) -> None:
        for batch in batches:
            self.step(batch)


class ItemCtr:
    """(positives + prior) / (impressions + prior) per item over all windows before."""

    def __init__(self, columns: list[int]) -> None:
        self.columns = columns
        self.items = np.array([np.iinfo(np.int64).min])
        self.shown, self.done = np.zeros(1), np.zeros((1, len(columns)))

    def score(self, batch: UserBatch) -> Floats:
        rate = self.done.sum(0) / max(self.shown.sum(), 1.0)
        item = batch.item.numpy()
        at = np.searchsorted(self.items, item, side="right") - 1
        known = self.items[at] == item
        shown, done = self.shown[at] * known, self.done[at] * known[:, None]
        return (done + 10 * rate) / (shown + 10)[:, None]

    def train(self, batches: list[UserBatch]) -> None:
        item = np.concatenate([self.items, *(batch.item.numpy() for batch in batches)])
        shown = np.concatenate([self.shown, *(np.ones(batch.n_samples) for batch in batches)])
        done = np.concatenate(
            [self.done, *(batch.labels[:, self.columns].numpy() for batch in batches)]
        )
        self.items, row = np.unique(item, return_inverse=True)
        self.shown = np.bincount(row, shown)
        self.done = np.stack([np.bincount(row, column) for column in done.T], axis=1)


def area(scored: Scored, task: int, rows: Ints | slice) -> float:
    """AUC over all samples."""
    return float(roc_auc_score(scored.label[rows, task], scored.score[rows, task]))


def grouped(scored: Scored, task: int, rows: Ints | slice) -> float:
    """GAUC by user over the stretch, weighted by samples."""
    columns = scored.score[rows, task], scored.label[rows, task], scored.user[rows]
    auc, size, _ = auc_by_group(*columns)
    return float((auc * size).sum() / size.sum())


def interval(scored: Scored, task: int, metric: object) -> str:
    """The metric and its 95% interval by resampling users."""
    assert callable(metric)
    low, high = np.quantile(
        [metric(scored, task, rows) for rows in _resampled(scored.user)], [0.025, 0.975]
    )
    return f"{metric(scored, task, slice(None)):.4f} [{low:.4f}, {high:.4f}]"


def _resampled(user: Ints) -> Iterator[Ints]:
    """Rows of users drawn with replacement; a user drawn twice stays one group."""
    rng = np.random.default_rng(0)
    _, number = np.unique(user, return_inverse=True)
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(number.max() + 2))
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, number.max() + 1, number.max() + 1)
        counts = np.diff(bounds)[drawn]
        starts = np.repeat(bounds[drawn] - np.cumsum(counts) + counts, counts)
        yield order[starts + np.arange(counts.sum())]


if __name__ == "__main__":
    main()
