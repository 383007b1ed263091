"""What a growing table costs beside a fixed one, and what its size costs.

A step looks up a million ids of a Zipf distribution, goes back through the sum of the rows, and
applies row-wise Adagrad. The rival is `nn.EmbeddingBag(sparse=True)` with the same Adagrad, whose
rows ids share and which knows every row beforehand. For the second figure tables hold one and
fifty million ids before the first step is timed; the ids looked up are drawn from all of them.
First it is checked that both compute the same thing on ids that share no row. Steps alternate;
the figure is the ratio of the medians of processor time.

    python benchmarks/growing_table.py [--ids 1000000] [--most 50000000] [--dim 16] [--repeats 7]
"""

import argparse
import time
from collections.abc import Callable
from itertools import cycle
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from models.rowwise import RowwiseAdagrad
from models.tables import GrowingTable, HashedTable
from models.tables.base import EmbeddingTable

BESIDE_FIXED, BY_SIZE = 1.25, 1.3
LOOKED_UP, FILLED_AT_ONCE = 1_000_000, 1_000_000
DRAWS = 8


class Fixed(HashedTable):
    """`nn.EmbeddingBag` with bags of one id each."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__(rows - 1, dim, 0.1)
        self.bag = nn.EmbeddingBag(rows, dim, mode="sum", sparse=True)
        self.weight = self.bag.weight

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        rows: Tensor = self.bag(ids.remainder(len(self.weight)), torch.arange(len(present)))
        return rows


def main() -> None:
    """Check, measure and print the figures."""
    options = _options()
    torch.set_num_threads(1)
    _check(options.dim)
    fixed = Fixed(options.ids, options.dim)
    growing = GrowingTable(options.ids, options.dim, 0.1)
    _fill(growing, options.ids)
    beside = _alternately([_stepper(t, options.ids) for t in (growing, fixed)], options.repeats)
    _figure("growing_table_beside_fixed", beside[0] / beside[1], BESIDE_FIXED)
    del fixed
    large = GrowingTable(options.most, options.dim, 0.1)
    _fill(large, options.most)
    sides = [_stepper(large, options.most), _stepper(growing, options.ids)]
    by_size = _alternately(sides, options.repeats)
    _figure("growing_table_by_size", by_size[0] / by_size[1], BY_SIZE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--most", type=int, default=50_000_000)
    parser.add_argument("--dim", type=int, default=16, help="width of a row; memory goes with it")
    parser.add_argument("--repeats", type=int, default=7)
    return parser.parse_args()


def _check(dim: int) -> None:
    """Three steps on both from equal rows give equal rows."""
    fixed, growing = Fixed(64, dim), GrowingTable(64, dim, 0.1)
    ids, there = torch.arange(64), torch.ones(64, dtype=torch.bool)
    growing(_spread(ids), there)
    with torch.no_grad():
        growing.weight[2:] = fixed.weight
    steps = [_stepper(table, 64, seed=3) for table in (fixed, growing)]
    for step in steps * 3:
        step()
    if not torch.allclose(growing.weight[2:], fixed.weight, atol=1e-6):
        raise SystemExit("expected equal rows after equal steps, received others")


def _fill(table: GrowingTable, ids: int) -> None:
    """Give the ids their rows; says how long the slowest million took beside the median one."""
    seconds = []
    for start in range(0, ids, FILLED_AT_ONCE):
        some = torch.arange(start, min(start + FILLED_AT_ONCE, ids))
        began = time.process_time()
        table.rows_of(_spread(some), torch.ones(len(some), dtype=torch.bool))
        seconds.append(time.process_time() - began)
    print(f"{ids:,} ids: a million in {median(seconds):.2f} s, at most {max(seconds):.2f} s")


def _spread(ids: Tensor) -> Tensor:
    """Ids as hashes are: anywhere in 64 bits, but the same modulo a power of two."""
    return ids + (ids << 26)


def _stepper(table: EmbeddingTable, ids: int, seed: int = 0) -> Callable[[], None]:
    rng, adagrad = np.random.default_rng(seed), RowwiseAdagrad([table], 0.1, 1e-8)
    there = torch.ones(min(ids, LOOKED_UP), dtype=torch.bool)
    drawn = (torch.from_numpy(rng.zipf(1.1, len(there)) % ids) for _ in range(DRAWS))
    wanted = cycle([_spread(one) for one in drawn])

    def step() -> None:
        adagrad.zero_grad()
        table(next(wanted), there).sum().backward()
        adagrad.step()

    return step


def _alternately(steps: list[Callable[[], None]], repeats: int) -> list[float]:
    """The median processor seconds of each, the first round left out."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats + 1):
        for step, spent in zip(steps, seconds, strict=True):
            began = time.process_time()
            step()
            spent.append(time.process_time() - began)
    return [median(spent[1:]) for spent in seconds]


def _figure(name: str, measured: float, goal: float) -> None:
    verdict = "ok" if measured <= goal else "short"
    print(f"FIGURE {name} {measured:.3f} {goal:g} {verdict}", flush=True)


if __name__ == "__main__":
    main()
