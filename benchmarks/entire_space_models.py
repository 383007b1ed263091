"""What each part of the entire space does to models, on the target domain of simulated worlds.

Six ways to build windows of the same events:

    none            no target domain: exposed samples, own-domain labels
    hierarchical    none, and feedback from elsewhere credits exposed samples of searches (rule 3)
    unexposed       hierarchical, and four unexposed candidates a search (rule 9)
    searchified     hierarchical, and requests made of foreign clicks (rule 10)
    all             hierarchical, unexposed and searchified: the spec as it is shipped
    as_searches     all, and models take requests made of foreign clicks for searches

A request made of a foreign click keeps the scenario that it was logged in, and both models tell
requests apart by scenario alone: what they learn of it reaches searches through shared weights.
`as_searches` gives such requests the target's first scenario instead.

Every model is trained from scratch on each, window after window; every window is scored before it
is trained on. Scored are always the same samples: what searches exposed in the last days. Two
labels judge them. `own` is the label that a pipeline without a target domain gives by the
window's cut: what online metrics would count. `caused` comes from the world's truth: whether the
sample made the user act on the item, in whatever domain, within the task's horizon, known by the
cut or not, taken back or not. `own` is nearest to what `none` learns, `caused` to what
`hierarchical` learns; both are the same for every arm.

How far a model could get is told by `truth`: the chances by which the world itself draws clicks
and what follows them, positions aside.

A seed is a world and the model's initial weights. The world is `demo`, or one with fewer users and
days whose catalogue is, so that these can teach a model anything, as small as that of `tiny`. Rates
were chosen on seed 0 under `none`.

    python benchmarks/entire_space_models.py [--users 300 --days 5] [--seeds 1 2 3 4 5]

Rows that were written by earlier runs can be put together: `--report ROWS.jsonl ...`
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from scipy import stats

from learner.batches import user_batch
from learner.config import learner_config
from learner.feed import recut
from learner.metrics.grouped_auc import auc_by_group
from learner.step import Step
from millstream import shipped
from models import create
from models.batch import UserBatch
from models.layout import Layout
from models.optimisers import OptimiserConfig, Optimisers
from pipelines.drivers.direct import DirectSettings, run
from pipelines.simulate.simulate import simulate
from pipelines.simulate.world import World
from pipelines.simulate.world_file import load, scaled
from pipelines.simulate.writer import Writer
from schemas.labels import ORIGIN_CODES
from schemas.spec import Spec
from schemas.spec import load as load_spec
from schemas.windows import WindowStore
from schemas.windows.packed import PackedUsers, pack

SPEC = load_spec(shipped.spec_file("simulated"))
assert SPEC.target is not None
HIERARCHICAL = replace(SPEC.target, unexposed=0, searchify=None)
ARMS = {
    "none": None,
    "hierarchical": HIERARCHICAL,
    "unexposed": replace(SPEC.target, searchify=None),
    "searchified": replace(SPEC.target, unexposed=0),
    "all": SPEC.target,
}
AS_SEARCHES = "as_searches"
TRUTH = "truth"
MODELS = {
    "dlrm_mlp": OptimiserConfig(dense_rate=1e-3, sparse_rate=0.3),
    "mtfm": OptimiserConfig(dense_rate=1e-3, sparse_rate=0.3),
}
BATCH_USERS = learner_config(SPEC, "mtfm", "simulated").batch_users
PRESET = "demo"
QUOTED_MS = 2 * 86_400_000

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def main() -> None:
    """Every seed, arm and model; the tables at the end."""
    options = _options()
    torch.set_num_threads(1)
    written = (line for path in options.report for line in path.open())
    rows = [json.loads(line) for line in written if line.startswith("{")]
    for seed in () if rows else options.seeds:
        world = world_of(seed, options.users, options.days)
        with tempfile.TemporaryDirectory(prefix="millstream-arms-") as folder:
            for row in measure(Path(folder), world, options.arms, options.models):
                rows.append(row)
                print(json.dumps(row), flush=True)
    report(pl.DataFrame(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=None)
    parser.add_argument("--days", type=int, default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--arms", nargs="+", default=[*ARMS, AS_SEARCHES])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--report", type=Path, nargs="+", default=[])
    return parser.parse_args()


def measure(
    root: Path, world: World, arms: list[str], models: list[str]
) -> Iterator[dict[str, object]]:
    """One row for each arm, model, task, label and metric of one world."""
    quoted = world.end_ms - QUOTED_MS
    simulate(world, Writer.open(root, SPEC))
    judged: Judged | None = None
    for arm, windows in _arms(root, arms):
        late = [one for one in windows if one.end_ms > quoted]
        if judged is None:
            judged = Judged.of(late, root / "truth")
            yield from judged.rows(judged.truth(root / "truth"), world.seed, TRUTH, "")
        judged.expect_same_samples(arm, late)
        for model in models:
            began = time.process_time()
            score = np.concatenate(trained(model, windows, quoted, world.seed))
            _say(f"seed {world.seed} {arm} {model}: {time.process_time() - began:.0f} s CPU")
            yield from judged.rows(score, world.seed, arm, model)


def _arms(root: Path, wanted: list[str]) -> Iterator[tuple[str, list["Window"]]]:
    """The windows of each arm, `none` first."""
    for arm in (arm for arm in ARMS if arm in wanted):
        began = time.process_time()
        windows = _windows(root, arm, replace(SPEC, target=ARMS[arm]))
        size = sum(batch.n_samples for one in windows for batch in one.batches)
        _say(f"{arm}: {size:,} samples, {time.process_time() - began:.0f} s CPU")
        yield arm, windows
        if arm == "all" and AS_SEARCHES in wanted:
            yield AS_SEARCHES, [_as_searches(one) for one in windows]


def world_of(seed: int, users: int | None, days: int | None) -> World:
    """A world of its own for each seed."""
    world = replace(load("demo"), seed=seed)
    if users is None and days is None:
        return world
    return replace(scaled(world, users=users, days=days), items=load("tiny").items)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Window:
    """A window's batches; of each which samples are scored, and their keys and `own` labels."""

    end_ms: int
    batches: list[UserBatch]
    scored: list[Bools]
    keys: pl.DataFrame
    own: Bools


def _windows(root: Path, arm: str, spec: Spec) -> list[Window]:
    paths = (root / "events", root / arm / "windows", root / arm / "state")
    run(DirectSettings(spec, *paths, shards=1, final=True))
    store, layout = WindowStore(root / arm / "windows"), Layout.of(spec)
    windows = []
    for manifest in store.windows():
        records = store.read_users(manifest.window_start_ms, spec)
        packed = [pack(users) for users in recut(records, BATCH_USERS)]
        if packed:
            windows.append(_window(manifest.window_end_ms, packed, layout))
    return windows


def _window(end_ms: int, packed: list[PackedUsers], layout: Layout) -> Window:
    batches = [user_batch(one, layout) for one in packed]
    scored = [_scored(one, batch) for one, batch in zip(packed, batches, strict=True)]
    keys = [
        _keys(one, batch, rows) for one, batch, rows in zip(packed, batches, scored, strict=True)
    ]
    own = [batch.labels.numpy()[rows] > 0 for batch, rows in zip(batches, scored, strict=True)]
    return Window(end_ms, batches, scored, pl.concat(keys), np.concatenate(own))


def _as_searches(window: Window) -> Window:
    """The same, requests made of foreign clicks under the target's first scenario."""
    scenarios = SPEC.domains[HIERARCHICAL.domain].scenarios
    search = torch.tensor(Layout.of(SPEC).scenarios.index(scenarios[0]))
    batches = [
        replace(one, scenario=torch.where(one.query_path >= 0, search, one.scenario))
        for one in window.batches
    ]
    return replace(window, batches=batches)


def _scored(packed: PackedUsers, batch: UserBatch) -> Bools:
    """Exposed samples of the target domain's own requests."""
    search = packed.requests.domain.to_numpy(zero_copy_only=False) == HIERARCHICAL.domain
    of_search = search[batch.sample_request.numpy()]
    scored: Bools = of_search & (packed.samples.origin == ORIGIN_CODES["exposed"])
    return scored


def _keys(packed: PackedUsers, batch: UserBatch, rows: Bools) -> pl.DataFrame:
    request = batch.sample_request.numpy()[rows]
    ids = packed.requests.id.to_numpy(zero_copy_only=False)[request]
    items = packed.samples.item_id.to_numpy(zero_copy_only=False)[rows]
    columns = {
        "user": packed.user[batch.request_user.numpy()[request]],
        "request_id": pl.Series(ids, dtype=pl.String),
        "item_id": pl.Series(items, dtype=pl.String),
        "time_ms": packed.requests.time_ms[request],
    }
    return pl.DataFrame(columns)


@dataclass(frozen=True)
class Judged:
    """The samples that are scored, with both labels [n, tasks] by name."""

    keys: pl.DataFrame
    labels: dict[str, Bools]

    @classmethod
    def of(cls, windows: list[Window], truth: Path) -> "Judged":
        """`windows` are the quoted ones of the arm without a target domain."""
        keys = pl.concat([one.keys for one in windows])
        feedback = pl.read_parquet(truth / "feedback" / "*.parquet")
        caused = [_caused(keys, feedback, name) for name in SPEC.tasks]
        own = np.concatenate([one.own for one in windows])
        return cls(keys, {"own": own, "caused": np.stack(caused, axis=1)})

    def expect_same_samples(self, arm: str, windows: list[Window]) -> None:
        """Raises AssertionError unless an arm's quoted windows hold just these to be scored."""
        if not pl.concat([one.keys for one in windows]).equals(self.keys):
            raise AssertionError(f"{arm}: expected the same samples to be scored in every arm")

    def truth(self, truth: Path) -> Floats:
        """The world's own chances [n, tasks], as they would be without positions.

        Of clicks P(click | examined); of other tasks that times P(conversion | click).
        """
        numbers = pl.read_parquet(truth / "items.parquet").select("item_id", item="number")
        chances = (
            pl.scan_parquet(truth / "requests" / "*.parquet")
            .select("request_id", "item", "attraction", "conversion")
            .join(self.keys.lazy().select("request_id").unique(), on="request_id")
            .explode("item", "attraction", "conversion")
            .join(numbers.lazy(), on="item")
            .unique(["request_id", "item_id"])
            .collect()
        )
        both = self.keys.join(
            chances, on=["request_id", "item_id"], how="left", maintain_order="left"
        )
        click = both["attraction"].to_numpy()
        bought = click * both["conversion"].to_numpy()
        return np.stack([click if task == "click" else bought for task in SPEC.tasks], axis=1)

    def rows(self, score: Floats, seed: int, arm: str, model: str) -> Iterator[dict[str, object]]:
        """What is written down of an arm and a model."""
        keyed = {"seed": seed, "arm": arm, "model": model}
        for task, label, metric, value in self.metrics(score):
            yield keyed | {"task": task, "label": label, "metric": metric, "value": value}

    def metrics(self, score: Floats) -> Iterator[tuple[str, str, str, float]]:
        """AUC over all samples, and GAUC by user, of each task under each label."""
        user = self.keys["user"].to_numpy()
        for label, positive in self.labels.items():
            for k, task in enumerate(SPEC.tasks):
                columns = score[:, k], positive[:, k]
                for metric, group in (("AUC", np.zeros_like(user)), ("GAUC", user)):
                    auc, size, _ = auc_by_group(*columns, group)
                    yield task, label, metric, float((auc * size).sum() / size.sum())


def _caused(keys: pl.DataFrame, feedback: pl.DataFrame, task: str) -> Bools:
    one = SPEC.tasks[task]
    events = feedback.filter(stream=one.stream)
    in_time = events.filter(pl.col("time_ms") <= pl.col("cause_time_ms") + one.horizon_ms)
    came = in_time.select("item_id", request_id="cause_request_id", came=True).unique()
    both = keys.join(came, on=["request_id", "item_id"], how="left", maintain_order="left")
    column: Bools = both["came"].fill_null(False).to_numpy()
    return column


def trained(name: str, windows: list[Window], quoted: int, seed: int) -> list[Floats]:
    """The scores of the quoted windows' samples, by the model as it stood before each window."""
    layout = Layout.of(SPEC)
    model = create(name, layout, PRESET, seed=seed)
    weights = learner_config(SPEC, name, "simulated").task_weights
    step = Step(model, Optimisers(model, MODELS[name]), weights)
    scores = []
    for window in windows:
        if window.end_ms > quoted:
            model.eval()
            with torch.no_grad():
                parts = [model(batch).double().numpy() for batch in window.batches]
            scores += [part[rows] for part, rows in zip(parts, window.scored, strict=True)]
        for batch in window.batches:
            if step(batch) is None:
                raise AssertionError(f"{name}: expected a finite loss, received none")
    return scores


def report(rows: pl.DataFrame) -> None:
    """A table for each model and task: `truth` and `none` as they are, the other arms by how much
    they differ from `none`; means over seeds with Student's 95% intervals.
    """
    columns = [(label, metric) for label in ("own", "caused") for metric in ("AUC", "GAUC")]
    rows = rows.with_columns(column=pl.format("{}, {}", "label", "metric"))
    names = [f"{label}, {metric}" for label, metric in columns]
    truth = rows.filter(arm=TRUTH)
    for (model, task), group in rows.filter(pl.col("arm") != TRUTH).group_by(
        "model", "task", maintain_order=True
    ):
        print(
            f"\n| {model!s}, {task!s}, {group['seed'].n_unique()} seeds |", " | ".join(names), "|"
        )
        print("|---" * (1 + len(names)) + "|")
        print(_row(TRUTH, truth.filter(task=task), names))
        base = group.filter(arm="none").select("seed", "column", base="value")
        print(_row("none", group.filter(arm="none"), names))
        for (arm,), one in group.filter(pl.col("arm") != "none").group_by(
            "arm", maintain_order=True
        ):
            gains = one.join(base, on=["seed", "column"]).with_columns(pl.col("value") - "base")
            print(_row(str(arm), gains, names, sign="+"))


def _row(name: str, rows: pl.DataFrame, columns: list[str], sign: str = "") -> str:
    cells = [_interval(rows.filter(column=column)["value"], sign) for column in columns]
    return f"| {name} | {' | '.join(cells)} |"


def _interval(values: pl.Series, sign: str) -> str:
    """The mean and half the width of Student's 95% interval."""
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std() / n**0.5 if n > 1 else float("nan")
    return f"{values.mean():{sign}.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
