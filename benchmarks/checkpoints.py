"""What checkpoints of a large table cost: training's wait, bytes, and the way back.

A DLRM-MLP on KuaiRand's spec whose item table holds 1 GB trains on made-up batches whose ids are
of a Zipf distribution, and begins a checkpoint every 200 steps; one of them comes with all rows
being written while training goes on. Then a version is registered. Figures:

- the time in which training waits for checkpoints, as a share of all the time;
- bytes of the tables' changes over the bytes that the changed rows have in memory;
- the processor time to restore the newest checkpoint, checked to be equal to the bit, over that
  to read all its files into memory; both find the files in the system's cache;
- the time in which training waits for a version over that until it is on the disk, checked to hold
  the weights of its moment.

    python benchmarks/checkpoints.py [--rows 3900000] [--steps 200]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from learner import state, tensors
from learner.checkpoint import Checkpoints
from learner.config import LearnerConfig, learner_config
from learner.cursor import Cursor
from learner.gate import Decision
from learner.staging import Version, served_tables, stage
from learner.trainer import Identity, Trainer
from learner.writer import Writer
from millstream import shipped
from models.batch import UserBatch
from models.tables import EmbeddingTable
from models.tables.base import Changes
from schemas.spec import Spec, load
from tests.models.builder import BatchBuilder, UserShape

SHAPES = [UserShape(history=40, recent=5, requests=(2, 2))] * 128
DIM, TABLE_ROWS = 64, 1 << 22
INTERVALS, BATCHES, REPEATS = 4, 8, 5
WAIT_SHARE, BYTES, BACK, VERSION = 0.03, 1.2, 1.5, 0.1


class ZipfIds(BatchBuilder):
    """Batches whose ids are drawn as often as a Zipf distribution says, from `ids` of them."""

    ids = TABLE_ROWS

    def hashes(self, n: int) -> Tensor:
        unit = torch.rand(n, generator=self.generator, dtype=torch.float64)
        return spread((self.ids**unit).long() - 1)


def spread(ids: Tensor) -> Tensor:
    """Small numbers to where hashes lie."""
    return ids * 0x0123_4567_89AB_CDEF


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=3_900_000, help="of the item table")
    parser.add_argument("--steps", type=int, default=200, help="between two checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = shipped.spec_file("kuairand")
    spec, config = load(file), learner_config(load(file), "dlrm_mlp", str(file))
    with tempfile.TemporaryDirectory() as folder:
        trainer = filled(new_trainer(spec, config), options.rows)
        checkpoints = Checkpoints(Path(folder), keep=1, whole_every=2)
        train_with_checkpoints(trainer, checkpoints, options.steps)
        bytes_per_change(checkpoints, trainer)
        way_back(checkpoints, trainer, lambda: new_trainer(spec, config))
        with tempfile.TemporaryDirectory() as versions:
            version_beside_training(checkpoints, trainer, Path(versions))


def new_trainer(spec: Spec, config: LearnerConfig) -> Trainer:
    """A DLRM-MLP with wide rows and room for many."""
    overrides = {"embedding": DIM, "tables": {"rows": TABLE_ROWS}}
    identity = Identity("dlrm_mlp", "demo", overrides, config, "made up")
    return Trainer(spec, identity, torch.device("cpu"))


def filled(trainer: Trainer, rows: int) -> Trainer:
    """Give the item table its rows, as training on so many items would."""
    table = trainer.tables["tables.by_name.table_item"].train()
    for start in range(0, rows, 100_000):
        ids = spread(torch.arange(start, min(start + 100_000, rows)))
        table(ids, torch.ones(len(ids), dtype=torch.bool))
    size = sum(table.memory_bytes for table in trainer.tables.values())
    print(f"{rows:,} rows of {DIM} numbers, {size / 1e9:.2f} GB of tables", flush=True)
    ZipfIds.ids = rows
    return trainer


def train_with_checkpoints(trainer: Trainer, checkpoints: Checkpoints, steps: int) -> None:
    """Intervals of training with a checkpoint after each; the first, of all rows, is not timed."""
    batches = cycle(ZipfIds(seed, trainer.layout).batch(SHAPES) for seed in range(BATCHES))
    waits, trains = [], []
    with Writer(checkpoints) as writer:
        checkpoint(trainer, writer)
        writer.wait()
        for _ in range(INTERVALS):
            trains.append(seconds(lambda: train(trainer, batches, steps, writer)))
            waits.append(seconds(lambda: checkpoint(trainer, writer)))
        writer.wait()
    for train_s, wait_s in zip(trains, waits, strict=True):
        print(f"{steps} steps {train_s:.2f} s, then training waits {wait_s * 1000:.0f} ms")
    figure("checkpoint_wait_share", sum(waits) / (sum(waits) + sum(trains)), WAIT_SHARE)


def train(trainer: Trainer, batches: "cycle[UserBatch]", steps: int, writer: Writer) -> None:
    """So many steps, and on until the last checkpoint is written, as the learner does it."""
    taken = 0
    while taken < steps or writer.busy:
        taken += 1
        trainer.train(Cursor(0, taken, complete=False), next(batches))


def checkpoint(trainer: Trainer, writer: Writer) -> None:
    """As the learner does it."""
    live = [table.live() for table in trainer.tables.values()]
    writer.write(state.snapshot(trainer, 0), live)


def bytes_per_change(checkpoints: Checkpoints, trainer: Trainer) -> None:
    """What the newest checkpoint wrote of tables over what its changed rows are in memory."""
    saved = checkpoints.newest()
    assert saved is not None
    newest = checkpoints.folder / checkpoints.chain[-1]
    written = sum(path.stat().st_size for path in newest.glob("rows-*"))
    changed = sum(
        len(rows[-1]["rows"]) * row_bytes(table)
        for rows, table in zip(saved.rows, trainer.tables.values(), strict=True)
    )
    print(f"{changed / 1e6:.1f} MB of rows changed, {written / 1e6:.1f} MB written")
    figure("checkpoint_bytes_per_changed", written / changed, BYTES)


def row_bytes(table: EmbeddingTable) -> int:
    """A row, what the optimiser keeps of it, its id and when it was last used."""
    return sum(one[0].numel() * one.element_size() for one in table.by_row.values()) + 16


def way_back(checkpoints: Checkpoints, trainer: Trainer, new: Callable[[], Trainer]) -> None:
    """Restore and plain reading by turns."""
    files = [path for path in checkpoints.folder.rglob("*") if path.is_file()]
    restores, reads = [], []
    restore(new(), checkpoints)  # kernels are compiled
    for _ in range(REPEATS):
        reads.append(seconds(lambda: [file.read_bytes() for file in files], time.process_time))
        back = new()
        restores.append(seconds(partial(restore, back, checkpoints), time.process_time))
        check_equal(back, trainer)
    for read_s, restore_s in zip(reads, restores, strict=True):
        print(f"read {read_s:.2f} s, restored {restore_s:.2f} s")
    figure("checkpoint_restore_per_read", median(restores) / median(reads), BACK)


def version_beside_training(checkpoints: Checkpoints, trainer: Trainer, folder: Path) -> None:
    """Register a version after some more steps, as the learner does it, and wait for it."""
    batches = cycle([ZipfIds(BATCHES, trainer.layout).batch(SHAPES)])
    with Writer(checkpoints) as writer:
        train(trainer, batches, BATCHES, writer)
        begun = time.perf_counter()
        version = Version.of(trainer, Decision(True, "made up"), "")
        live = [table.live() for table in trainer.tables.values()]
        writer.write(state.snapshot(trainer, 0), live, partial(staged, folder, version, trainer))
        waited_s = time.perf_counter() - begun
        writer.wait()
        written_s = time.perf_counter() - begun
    [weights] = folder.glob("*-*/model/weights.safetensors")
    served = tensors.load(weights)
    with trainer.optimisers.average.in_place():
        for name, one in trainer.model.state_dict().items():
            if not torch.equal(served[name], one):
                raise SystemExit(f"expected {name} as it was, received another in the version")
    print(f"a version: training waits {waited_s * 1000:.0f} ms, written after {written_s:.2f} s")
    figure("version_wait_per_write", waited_s / written_s, VERSION)


def staged(
    folder: Path, version: Version, trainer: Trainer, rows: Sequence[Sequence[Changes]]
) -> None:
    """As the learner's writer does it."""
    stage(folder, version, served_tables(trainer.tables, rows))


def restore(trainer: Trainer, checkpoints: Checkpoints) -> None:
    """As the learner does it."""
    saved = checkpoints.newest()
    assert saved is not None
    state.restore(trainer, saved)


def check_equal(restored: Trainer, trainer: Trainer) -> None:
    """Stops the benchmark if the two are not equal to the bit."""
    pairs = zip(
        restored.model.state_dict().items(), trainer.model.state_dict().values(), strict=True
    )
    for (name, one), other in pairs:
        if not torch.equal(one, other):
            raise SystemExit(f"expected {name} as it was, received something else")


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long it takes."""
    began = clock()
    work()
    return clock() - began


def figure(name: str, measured: float, goal: float) -> None:
    verdict = "ok" if measured <= goal else "short"
    print(f"FIGURE {name} {measured:.3f} {goal:g} {verdict}", flush=True)


if __name__ == "__main__":
    main()
