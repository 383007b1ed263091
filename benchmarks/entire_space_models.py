"""What each part of the entire space does to models, on the target domain of simulated worlds.

Six ways to build windows of the same events:

    none            no target domain: exposed samples, own-domain labels
    hierarchical    none, and feedback from elsewhere credits exposed samples of searches (rule 3)
    unexposed       hierarchical, and four unexposed candidates a search (rule 9)
    searchified     hierarchical, and requests made of foreign clicks (rule 10)
    all             hierarchical, unexposed and searchified: the spec as it is shipped
    as_searches     all, and models take requests made of foreign clicks for searches

A request made of a foreign click keeps the scenario that it was logged in. DLRM-MLP and MTFM tell
requests apart by scenario alone: what they learn of it reaches searches through shared weights.
`as_searches` gives such requests the target's first scenario instead. HHSFT knows the domain in
which a request was logged and has experts for each.

Every model is trained from scratch on each, window after window, and scores before each window of
the last days every candidate of every search in it, exposed or not: the same ones for every arm.
They are judged in two ways.

What searches exposed, by two labels of each task. `own` is the label that a pipeline without a
target domain gives by the window's cut: what online metrics would count. `caused` comes from the
world's truth: whether the sample made the user act on the item, in whatever domain, within the
task's horizon, known by the cut or not, taken back or not. `own` is nearest to what `none` learns,
`caused` to what `hierarchical` learns.

Whole `lists`, by the chances from which the world draws clicks and what follows them: NDCG@10 of
the order that the scores make, the chance as gain. It asks for the best ten of all candidates,
where the labels ask for the best of those that the policy of the world had chosen.

How far a model could get is told by `truth`, which scores by those very chances, positions aside;
`policy` is the order in which the world itself lists candidates, exposed ones first.

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
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy import stats

from benchmarks.whole_lists.judged import Floats, Judged
from benchmarks.whole_lists.lists import Lists
from learner.batches import user_batch
from learner.config import learner_config
from learner.feed import recut
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
TRUTH, POLICY = "truth", "policy"
WHOLE_LISTS = replace(SPEC, target=replace(HIERARCHICAL, unexposed=1_000_000))
"""Every candidate of every search becomes a sample."""
MODELS = {
    "dlrm_mlp": OptimiserConfig(dense_rate=1e-3, sparse_rate=0.3),
    "mtfm": OptimiserConfig(dense_rate=1e-3, sparse_rate=0.3),
    "hhsft": OptimiserConfig(dense_rate=1e-3, sparse_rate=0.3),
}
BATCH_USERS = learner_config(SPEC, "mtfm", "simulated").batch_users
PRESET = "demo"
QUOTED_MS = 2 * 86_400_000

Windows = dict[int, list[UserBatch]]
"""The batches of every window, by its end."""


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
    parser.add_argument("--models", nargs="+", default=["dlrm_mlp", "mtfm"])
    parser.add_argument("--report", type=Path, nargs="+", default=[])
    return parser.parse_args()


def measure(
    root: Path, world: World, arms: list[str], models: list[str]
) -> Iterator[dict[str, object]]:
    """One row for each arm, model, task, label and metric of one world."""
    quoted = world.end_ms - QUOTED_MS
    simulate(world, Writer.open(root, SPEC))
    lists = _lists(root, "lists", WHOLE_LISTS, quoted)
    shown = _lists(root, "none", replace(SPEC, target=None), quoted)
    judged = Judged.of(lists.keys, shown.keys, root / "truth", SPEC.tasks)
    yield from judged.rows(judged.chances, world.seed, TRUTH, "")
    yield from judged.rows(judged.policy, world.seed, POLICY, "")
    for arm, windows in _arms(root, arms):
        for model in models:
            began = time.process_time()
            score = trained(model, windows, lists, world.seed)
            _say(f"seed {world.seed} {arm} {model}: {time.process_time() - began:.0f} s CPU")
            yield from judged.rows(score, world.seed, arm, model)


def _arms(root: Path, wanted: list[str]) -> Iterator[tuple[str, Windows]]:
    """The windows of each arm."""
    for arm in (arm for arm in ARMS if arm in wanted):
        began = time.process_time()
        windows: Windows = {}
        for end_ms, _, batch in _read(root, arm, replace(SPEC, target=ARMS[arm])):
            windows.setdefault(end_ms, []).append(batch)
        size = sum(batch.n_samples for batches in windows.values() for batch in batches)
        _say(f"{arm}: {size:,} samples, {time.process_time() - began:.0f} s CPU")
        yield arm, windows
        if arm == "all" and AS_SEARCHES in wanted:
            yield AS_SEARCHES, _as_searches(windows)


def _lists(root: Path, name: str, spec: Spec, since_ms: int) -> Lists:
    """Candidates of searches in the windows that `spec` makes and that end after `since_ms`."""
    read = _read(root, name, spec, since_ms)
    return Lists.of(read, HIERARCHICAL.domain, tuple(SPEC.tasks))


def world_of(seed: int, users: int | None, days: int | None) -> World:
    """A world of its own for each seed."""
    world = replace(load("demo"), seed=seed)
    if users is None and days is None:
        return world
    return replace(scaled(world, users=users, days=days), items=load("tiny").items)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _read(
    root: Path, arm: str, spec: Spec, since_ms: int = 0
) -> Iterator[tuple[int, PackedUsers, UserBatch]]:
    """Batches of the windows that `spec` makes and that end after `since_ms`, and their ends."""
    paths = (root / "events", root / arm / "windows", root / arm / "state")
    run(DirectSettings(spec, *paths, shards=1, final=True))
    store, layout = WindowStore(root / arm / "windows"), Layout.of(spec)
    for manifest in store.windows():
        if manifest.window_end_ms > since_ms:
            records = store.read_users(manifest.window_start_ms, spec)
            for users in recut(records, BATCH_USERS):
                packed = pack(users)
                yield manifest.window_end_ms, packed, user_batch(packed, layout)


def _as_searches(windows: Windows) -> Windows:
    """The same, requests made of foreign clicks under the target's first scenario."""
    scenarios = SPEC.domains[HIERARCHICAL.domain].scenarios
    search = torch.tensor(Layout.of(SPEC).scenarios.index(scenarios[0]))
    return {
        end_ms: [
            replace(one, scenario=torch.where(one.query_path >= 0, search, one.scenario))
            for one in batches
        ]
        for end_ms, batches in windows.items()
    }


def trained(name: str, windows: Windows, lists: Lists, seed: int) -> Floats:
    """The scores of all candidates [n, tasks], by the model as it stood before each window."""
    layout = Layout.of(SPEC)
    model = create(name, layout, PRESET, seed=seed)
    weights = learner_config(SPEC, name, "simulated").task_weights
    step = Step(model, Optimisers(model, MODELS[name]), weights)
    scores = []
    for end_ms, batches in windows.items():
        model.eval()
        with torch.no_grad():
            for batch, rows in lists.windows.get(end_ms, ()):
                scores.append(model(batch).double().numpy()[rows])
        for batch in batches:
            if step(batch) is None:
                raise AssertionError(f"{name}: expected a finite loss, received none")
    return np.concatenate(scores)


def report(rows: pl.DataFrame) -> None:
    """A table for each model and task: `truth`, `policy` and `none` as they are, the other arms by
    how much they differ from `none`; means over seeds with Student's 95% intervals.
    """
    columns = [(label, metric) for label in ("own", "caused") for metric in ("AUC", "GAUC")]
    rows = rows.with_columns(column=pl.format("{}, {}", "label", "metric"))
    names = [f"{label}, {metric}" for label, metric in [*columns, ("lists", "NDCG")]]
    known = rows.filter(model="")
    for (model, task), group in rows.filter(pl.col("model") != "").group_by(
        "model", "task", maintain_order=True
    ):
        print(
            f"\n| {model!s}, {task!s}, {group['seed'].n_unique()} seeds |", " | ".join(names), "|"
        )
        print("|---" * (1 + len(names)) + "|")
        for arm in (TRUTH, POLICY):
            print(_row(arm, known.filter(arm=arm, task=task), names))
        print(_row("none", group.filter(arm="none"), names))
        base = group.filter(arm="none").select("seed", "column", base="value")
        for (arm,), one in group.filter(pl.col("arm") != "none").group_by(
            "arm", maintain_order=True
        ):
            gains = one.join(base, on=["seed", "column"]).with_columns(pl.col("value") - "base")
            print(_row(str(arm), gains, names, sign="+"))


def _row(name: str, rows: pl.DataFrame, columns: list[str], sign: str = "") -> str:
    cells = [_interval(rows.filter(column=column)["value"], sign) for column in columns]
    return f"| {name} | {' | '.join(cells)} |"


def _interval(values: pl.Series, sign: str) -> str:
    """The mean and half the width of Student's 95% interval; a dash if there is nothing."""
    n = len(values)
    if not n:
        return "–"
    half = stats.t.ppf(0.975, n - 1) * values.std() / n**0.5 if n > 1 else float("nan")
    return f"{values.mean():{sign}.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
