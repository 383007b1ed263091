"""What the learner's loop adds to training steps, and how soon a sealed window is learned.

Made-up users with up to 11 actions and 11 samples on average go through the feed into models of
demo size, as the learner does it, on one thread of torch; the feed reads ahead in a thread of its
own. Figures:

- the share of a training pass in which the loop waits for the feed;
- samples a second of that pass over those of the same steps on batches that are in memory;
- what a champion of the same model in shadow adds to a window, scored and trained on;
- the 99th percentile of the time from a window's manifest to its last step, of small windows that
  are sealed one after another while a learner follows. No MLflow server answers meanwhile.

    python benchmarks/learner_loop.py [--users 6000] [--windows 60]
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import torch

from learner.config import learner_config
from learner.cursor import Cursor
from learner.daemon import Daemon
from learner.feed import Feed
from learner.freshness import FRESHNESS, SINCE_END
from learner.journal import Journal
from learner.scorer import Scorer
from learner.settings import LearnerSettings
from learner.shadow import Champion
from learner.status import Pulse
from learner.trainer import Identity, Trainer
from models.batch import UserBatch
from models.layout import Layout
from schemas.windows import WindowStore
from schemas.windows.names import FINAL_MARK, MANIFEST
from tests.learner.runs import NOWHERE
from tests.learner.world import SPEC, write_spec, write_window

MODELS = ("dlrm_mlp", "mtfm")
FIGURES_OF = "mtfm"
"""The demo's model; the plain one, whose steps are the shortest, is printed beside it."""

REPEATS = 3
BATCH_USERS = 256
WAIT_SHARE, OF_STEP_ONLY, SHADOW, DELAY_S = 0.05, 0.9, 0.4, 3.0
SMALL_USERS, EVERY_S = 30, 1.5

Batches = Sequence[tuple[Cursor, UserBatch]]


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=6_000, help="of the large window")
    parser.add_argument("--windows", type=int, default=60, help="small ones, to follow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            measure_steps(Bench(Path(folder) / model, model, options.users))
        measure_delay(Path(folder) / "followed", options.windows)


class Bench:
    """A model of demo size that has seen a window once, and that window."""

    def __init__(self, folder: Path, model: str, users: int) -> None:
        self.model = model
        self.manifest = write_window(folder / "windows", 0, users)
        self.feed = Feed(WindowStore(folder / "windows"), SPEC, Layout.of(SPEC), BATCH_USERS)
        identity = Identity.of(SPEC, model, "demo", learner_config(SPEC, model, "made up"))
        self.trainer = Trainer(SPEC, identity, torch.device("cpu"))
        with self.feed.batches(self.manifest) as batches:
            self.batches: Batches = list(batches)
        self.train(self.batches)  # rows are born, kernels compiled

    def train(self, batches: Batches) -> None:
        """The steps alone, on batches in memory."""
        for cursor, batch in batches:
            self.trainer.train(cursor, batch)

    def train_fed(self, pulse: Pulse) -> None:
        """A pass as the learner does it."""
        pulse.begin_pass()
        with self.feed.batches(self.manifest) as batches:
            for cursor, batch in pulse.fed(batches):
                self.trainer.train(cursor, batch)
        pulse.tell(doing="waiting")

    def window(self, champion: Champion | None) -> None:
        """A window as the learner takes it: scored, then trained on."""
        with self.feed.batches(self.manifest) as batches:
            self.trainer.score((batch for _, batch in batches), champion)
        self.train_fed(Pulse(lambda _: None))

    def champion(self) -> Champion:
        """The model as it is now."""
        trainer = self.trainer
        scorer = Scorer(SPEC, trainer.layout, deepcopy(trainer.model).eval())
        return Champion("1", scorer, trainer.layout)


def measure_steps(bench: Bench) -> None:
    """The loop against its steps, and with a champion against without, by turns."""
    shares, fed, alone, plain, shadowed = [], [], [], [], []
    champion = bench.champion()
    bench.window(champion)  # whatever is made at first need
    for _ in range(REPEATS):
        pulse = Pulse(lambda _: None)
        alone.append(seconds(partial(bench.train, bench.batches)))
        fed.append(seconds(partial(bench.train_fed, pulse)))
        shares.append(pulse.status.feed_wait_seconds / pulse.status.loop_seconds)
        plain.append(seconds(partial(bench.window, None)))
        shadowed.append(seconds(partial(bench.window, champion)))
    step_only = median(one / other for one, other in zip(alone, fed, strict=True))
    cost = median(one / other for one, other in zip(shadowed, plain, strict=True)) - 1
    n = sum(batch.n_samples for _, batch in bench.batches)
    print(
        f"{bench.model}: {n / median(alone):,.0f} samples/s of steps alone, {n / median(fed):,.0f} "
        f"fed; a window {median(plain):.2f} s, {median(shadowed):.2f} s beside a champion"
    )
    told = figure if bench.model == FIGURES_OF else beside
    told("learner_feed_wait_share", median(shares), WAIT_SHARE)
    told("feed_and_step_of_step_only", step_only, OF_STEP_ONLY, at_least=True)
    told("shadow_cost", cost, SHADOW)


def measure_delay(folder: Path, windows: int) -> None:
    """Windows sealed one after another while a learner follows."""
    folder.mkdir()
    settings = LearnerSettings(
        spec=write_spec(folder),
        windows=folder / "windows",
        state=folder / "state",
        mlflow=NOWHERE,
        model=FIGURES_OF,
        mode="follow",
        until_final=True,
        mlflow_patience_s=0.0,
    )
    write_window(settings.windows, 0, SMALL_USERS)
    # Signals are for the main thread only: the daemon without them.
    learner = threading.Thread(target=Daemon(settings, threading.Event()).run)
    learner.start()
    wait_until_learned(settings, 1)
    for index in range(1, windows + 1):
        write_window(settings.windows, index, SMALL_USERS)
        time.sleep(EVERY_S)
    (settings.windows / FINAL_MARK).touch()
    learner.join()
    delays = delays_s(settings)[1:]
    print(
        f"{len(delays)} windows of {SMALL_USERS} users: learned {median(delays):.2f} s after they "
        f"were sealed (median), {max(delays):.2f} s at most; looked for every {settings.poll_s} s"
    )
    figure("sealed_to_learned_p99_s", quantiles(delays, n=100, method="inclusive")[98], DELAY_S)


def wait_until_learned(settings: LearnerSettings, windows: int) -> None:
    while len(delays_s(settings)) < windows:
        time.sleep(0.1)


def delays_s(settings: LearnerSettings) -> list[float]:
    """Of each window, the time from its manifest to the end of its training."""
    store, found = WindowStore(settings.windows), []
    for entry, _ in Journal(settings.state / FRESHNESS).since(0):
        sealed_s = (store.folder(entry.window_start_ms) / MANIFEST).stat().st_mtime
        found.append(entry.time_ms / 1000 + entry.metrics[SINCE_END] - sealed_s)
    return found


def seconds(work: Callable[[], None]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def beside(name: str, measured: float, *_: object, **__: object) -> None:
    """Print what is no figure."""
    print(f"  {name} {measured:.3f}")


def figure(name: str, measured: float, goal: float, at_least: bool = False) -> None:
    """Print a figure."""
    good = measured >= goal if at_least else measured <= goal
    print(f"FIGURE {name} {measured:.3f} {goal:g} {'ok' if good else 'short'}", flush=True)


if __name__ == "__main__":
    main()
