"""Prequential quality on KuaiRand: every model against "item CTR so far".

Every window of the last six days is scored before it is trained on; all models see the same
batches. Quoted are the last three days (6 to 8 May): AUC, and GAUC by user over the three days, as
means over seeds with 95% intervals from resampled users. Nothing is tuned on those: with `--tune`
the same few rates are first tried for every model, and each goes on with those that had the best
click GAUC from 3 to 5 May. Needs the sealed windows of a demo: `make demo` first, or name another
`--work`. What a run scored is kept under `--runs` and not done again.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import models
from learner.config import LearnerConfig, learner_config, model_settings
from learner.feed import Feed
from learner.metrics.grouped_auc import auc_by_group
from learner.step import Step
from millstream import shipped
from millstream.demo.kuairand import NAME
from millstream.demo.place import Place
from models.batch import UserBatch
from models.layout import Layout
from models.optimisers import Optimisers
from models.tables import tables_in
from schemas.spec import Spec, load
from schemas.windows import WindowStore
from schemas.windows.names import FINAL_MARK

DAY_MS = 86_400_000
STRETCH_MS = 3 * DAY_MS
RESAMPLES = 300
TASKS = ("click", "long_view")
BASELINE, COUNTER = "dlrm_mlp", "item_ctr"
RATES = ((3e-3, 0.05), (1e-3, 0.05), (3e-3, 0.02))
"""Dense and sparse, what `--tune` tries with every model."""

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


def main() -> None:
    """Print one table and the figures."""
    options = _options()
    place = Place(options.work, shipped.spec_file(NAME))
    if not (place.windows / FINAL_MARK).exists():
        print(f"SKIPPED kuairand_quality: no finished demo in {place.root}: make demo first")
        return
    spec = load(place.spec)
    configs = {name: learner_config(spec, name, str(place.spec)) for name in options.models}
    # All models learn from batches of the same users: `batch_users` is the spec's, not a model's.
    windows = decoded(place, spec, configs[options.models[0]].batch_users)
    bench = Bench(spec, windows, options.runs, options.workers)
    if options.tune:
        tried = bench.all(tried_rates(configs))
        print("from 3 to 5 May, one seed:")
        report(in_days(bench.counter(), tried, lambda plan: plan.label, quoted=False))
        configs = best_of(tried)
    done = in_days(
        bench.counter(),
        bench.all(seeded(configs, options.seeds)),
        lambda plan: plan.model,
        quoted=True,
    )
    print("from 6 to 8 May:")
    report(done)
    compare(done)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("demo"))
    parser.add_argument("--runs", type=Path, help="folder of runs (quality-runs in --work)")
    parser.add_argument("--models", nargs="+", choices=models.names(), default=models.names())
    parser.add_argument("--seeds", type=int, default=5, help="runs of each model (5)")
    parser.add_argument("--tune", action="store_true", help="choose rates on 3 to 5 May first")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time (1)")
    options = parser.parse_args()
    options.runs = options.runs or options.work / "quality-runs"
    return options


@dataclass(frozen=True)
class Plan:
    """One run to be done."""

    model: str
    config: LearnerConfig

    @property
    def label(self) -> str:
        """Which rates it has."""
        rates = self.config.optimiser
        return f"{self.model} {rates.dense_rate:g} {rates.sparse_rate:g}"


def seeded(configs: dict[str, LearnerConfig], seeds: int) -> list[Plan]:
    """Each model as the spec has it, once a seed; first seeds first."""
    drawn = product(range(seeds), configs.items())
    return [Plan(name, replace(config, seed=seed)) for seed, (name, config) in drawn]


def tried_rates(configs: dict[str, LearnerConfig]) -> list[Plan]:
    """Each model once with each of the rates, its seed the first of `seeded`."""
    return [
        Plan(
            name,
            replace(one, seed=0, optimiser=replace(one.optimiser, dense_rate=d, sparse_rate=s)),
        )
        for d, s in RATES
        for name, one in configs.items()
    ]


def best_of(tried: "list[tuple[Plan, Scored]]") -> dict[str, LearnerConfig]:
    """Of each model the configuration with the best click GAUC on the days for tuning."""
    best: dict[str, tuple[float, LearnerConfig]] = {}
    for plan, scored in tried:
        _, user = np.unique((days := scored.of(quoted=False)).user, return_inverse=True)
        gauc = float(grouped(days, 0, user, np.ones((1, int(user.max()) + 1), np.int64))[0])
        if plan.model not in best or gauc > best[plan.model][0]:
            best[plan.model] = gauc, plan.config
    return {name: config for name, (_, config) in best.items()}


class Bench:
    """Runs over the same windows, kept in a folder."""

    def __init__(self, spec: Spec, windows: "list[Window]", folder: Path, workers: int) -> None:
        self.spec, self.windows, self.folder, self.workers = spec, windows, folder, workers
        self.columns = [tuple(spec.tasks).index(task) for task in TASKS]

    def counter(self) -> "Scored":
        """What the item CTR so far scores."""
        return prequential(ItemCtr(len(self.spec.tasks)), self.windows, self.columns)

    def all(self, plans: Sequence[Plan]) -> "list[tuple[Plan, Scored]]":
        """The plans, each with what its model scored."""
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        if self.workers == 1:
            return [(plan, self.one(plan)) for plan in plans]
        # Forked, so that the windows are decoded once; until here nothing has started a thread.
        fork = get_context("fork")
        with ProcessPoolExecutor(self.workers, fork, _inherited.append, (self,)) as pool:
            return list(zip(plans, pool.map(_one, plans), strict=True))

    def one(self, plan: Plan) -> "Scored":
        """A run, unless its scores are there."""
        path = self.folder / f"{plan.model}-{self._key(plan)}.npz"
        if not path.exists():
            model = Model(self.spec, plan.model, plan.config)
            scored = prequential(model, self.windows, self.columns)
            half = path.with_suffix(".part")
            with half.open("wb") as file:
                np.savez_compressed(file, **asdict(scored))
            half.rename(path)
            print(f"{plan.label} seed {plan.config.seed} done", flush=True)
        with np.load(path) as kept:
            return Scored(**kept)

    def _key(self, plan: Plan) -> str:
        overrides = dict(model_settings(self.spec, plan.model).overrides)
        said = repr((plan, overrides, len(self.windows), self.columns))
        return sha256(said.encode()).hexdigest()[:12]


_inherited: list[Bench] = []
"""In a forked process, the bench as it was: its windows would not fit through a pipe."""


def _one(plan: Plan) -> "Scored":
    """See `Bench.one`."""
    return _inherited[0].one(plan)


def in_days(
    counter: "Scored",
    done: "list[tuple[Plan, Scored]]",
    name: Callable[[Plan], str],
    *,
    quoted: bool,
) -> "dict[str, Runs]":
    """The metrics of one of the two stretches of days, by name; the counter's first."""
    scored = {COUNTER: [counter.of(quoted=quoted)]}
    for plan, one in done:
        scored.setdefault(name(plan), []).append(one.of(quoted=quoted))
    return {key: Runs.of(parts) for key, parts in scored.items()}


def report(runs: "dict[str, Runs]") -> None:
    """A line a model and task."""
    for name, one in runs.items():
        for at, task in enumerate(TASKS):
            each = " ".join(f"{value:.4f}" for value in one.gauc[0, :, at])
            quoted = f"AUC {interval(one.auc[:, :, at])}  GAUC {interval(one.gauc[:, :, at])}"
            print(f"{name:<20} {task:<10} {quoted}  by seed {each}", flush=True)


def compare(runs: "dict[str, Runs]") -> None:
    """Click GAUC of each model less the baseline's, which is compared with the counter."""
    gauc = {name: one.gauc[:, :, 0].mean(axis=1) for name, one in runs.items()}
    for name, own in gauc.items():
        worse = COUNTER if name == BASELINE else BASELINE
        if name == COUNTER or worse not in gauc:
            continue
        gain = own - gauc[worse]
        print(f"click GAUC, {name} - {worse}: {interval(gain[:, None])}")
        verdict = "ok" if gain[0] > 0 else "short"
        print(f"FIGURE kuairand_gauc_{name}_minus_{worse} {gain[0]:.4f} 0 {verdict}", flush=True)


def interval(values: Floats) -> str:
    """The mean over seeds and its 95% interval; [1 + resamples, seeds], all users first."""
    means = values.mean(axis=1)
    low, high = np.quantile(means[1:], [0.025, 0.975])
    return f"{means[0]:.4f} [{low:.4f}, {high:.4f}]"


@dataclass(frozen=True)
class Window:
    """One decoded window."""

    scored: bool
    """Whether it lies in the last six days."""
    quoted: bool
    """Whether it lies in the last three."""
    batches: list[UserBatch]


def decoded(place: Place, spec: Spec, batch_users: int) -> list[Window]:
    """All windows, as batches."""
    store = WindowStore(place.windows)
    feed = Feed(store, spec, Layout.of(spec), batch_users)
    sealed = store.windows()
    end_ms = sealed[-1].window_end_ms
    return [
        Window(
            scored=manifest.window_end_ms > end_ms - 2 * STRETCH_MS,
            quoted=manifest.window_end_ms > end_ms - STRETCH_MS,
            batches=[batch for _, batch in feed.batches(manifest)],
        )
        for manifest in sealed
    ]


@dataclass(frozen=True)
class Scored:
    """Samples of the last six days: scores and labels [n, TASKS], users and days [n]."""

    score: Floats
    label: npt.NDArray[np.bool_]
    user: Ints
    quoted: npt.NDArray[np.bool_]

    def of(self, *, quoted: bool) -> "Scored":
        """Those of the days that are quoted, or of those for tuning."""
        there = self.quoted == quoted
        return Scored(self.score[there], self.label[there], self.user[there], self.quoted[there])


@dataclass(frozen=True)
class Runs:
    """One model's metrics, [1 + RESAMPLES, seeds, tasks]: of all users, then of each resample."""

    auc: Floats
    gauc: Floats

    @classmethod
    def of(cls, runs: list[Scored]) -> "Runs":
        """The metrics of runs that scored the same samples."""
        _, user = np.unique(runs[0].user, return_inverse=True)
        drawn = times_drawn(int(user.max()) + 1)
        tasks = range(len(TASKS))
        return cls(
            auc=np.array([[areas(run, k, user, drawn) for k in tasks] for run in runs]).transpose(
                2, 0, 1
            ),
            gauc=np.array(
                [[grouped(run, k, user, drawn) for k in tasks] for run in runs]
            ).transpose(2, 0, 1),
        )


def times_drawn(users: int) -> Ints:
    """How often each user counts, [1 + RESAMPLES, users]: once, then as drawn with replacement."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, users, users) for _ in range(RESAMPLES)]
    return np.stack([np.ones(users, np.int64), *(np.bincount(d, minlength=users) for d in draws)])


def areas(scored: Scored, task: int, user: Ints, drawn: Ints) -> Floats:
    """AUC over all samples for each row of `drawn`, how often each user counts; ties are half."""
    _, rank = np.unique(scored.score[:, task], return_inverse=True)
    label = scored.label[:, task]
    found = []
    for times in drawn:
        positive = np.bincount(rank, times[user] * label)
        negative = np.bincount(rank, times[user] * ~label)
        below = negative.cumsum() - negative / 2
        found.append(positive @ below / (positive.sum() * negative.sum()))
    return np.array(found)


def grouped(scored: Scored, task: int, user: Ints, drawn: Ints) -> Floats:
    """GAUC by user over the stretch, weighted by samples, for each row of `drawn`."""
    auc, size, group = auc_by_group(scored.score[:, task], scored.label[:, task], user)
    times = drawn[:, group]
    gauc: Floats = (times @ (auc * size)) / (times @ size)
    return gauc


def prequential(scorer: "Model | ItemCtr", windows: list[Window], columns: list[int]) -> Scored:
    """Score every window of the last six days before training on it; train on all."""
    parts = []
    for window in windows:
        if window.scored:
            for batch in window.batches:
                score, label = scorer.score(batch)[:, columns], batch.labels[:, columns].numpy()
                user = batch.user[batch.request_user][batch.sample_request].numpy()
                parts.append((score, label > 0, user, np.full(len(user), window.quoted)))
        scorer.train(window.batches)
    return Scored(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Model:
    """A registered model with the learner's own training step."""

    def __init__(self, spec: Spec, name: str, config: LearnerConfig) -> None:
        overrides = dict(model_settings(spec, name).overrides)
        self.model = models.create(name, Layout.of(spec), "demo", overrides, seed=config.seed)
        self.optimisers = Optimisers(self.model, config.optimiser)
        self.step = Step(self.model, self.optimisers, config.task_weights, config.precision)

    def score(self, batch: UserBatch) -> Floats:
        self.model.eval()
        with torch.no_grad(), self.optimisers.average.in_place():
            return self.model(batch).numpy()

    def train(self, batches: list[UserBatch]) -> None:
        for table in tables_in(self.model).values():
            table.tick()
        for batch in batches:
            self.step(batch)


class ItemCtr:
    """(positives + prior) / (impressions + prior) per item over all windows before."""

    def __init__(self, tasks: int) -> None:
        self.items = np.array([np.iinfo(np.int64).min])
        self.shown, self.done = np.zeros(1), np.zeros((1, tasks))

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
        done = np.concatenate([self.done, *(batch.labels.numpy() for batch in batches)])
        self.items, row = np.unique(item, return_inverse=True)
        self.shown = np.bincount(row, shown)
        self.done = np.stack([np.bincount(row, column) for column in done.T], axis=1)


if __name__ == "__main__":
    main()
