"""What scores of candidates are held against: labels of what was exposed, chances of all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.whole_lists.lists import Bools
from learner.metrics.grouped_auc import auc_by_group
from schemas.spec import Task

SAMPLE = ("request_id", "item_id")
"""What a sample is known by."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What scores of all candidates, n of them, are held against; m were exposed.

    tasks: their names.
    keys: user, request_id and item_id of each.
    exposed: bool [n].
    labels: bool [m, tasks], both by name.
    chances: float64 [n, tasks], the world's own, as they would be without positions. Of clicks
        P(click | examined), of conversions that times P(conversion | click). Of carts what clicks
        have, for a fixed share of clicks is followed by one.
    policy: float64 [n, tasks], the higher the earlier in the world's list.
    """

    tasks: tuple[str, ...]
    keys: pl.DataFrame
    exposed: Bools
    labels: dict[str, Bools]
    chances: Floats
    policy: Floats

    @classmethod
    def of(
        cls, candidates: pl.DataFrame, shown: pl.DataFrame, truth: Path, tasks: Mapping[str, Task]
    ) -> "Judged":
        """`shown` are those of the candidates that windows without a target domain hold."""
        keys, exposed = candidates.select("user", *SAMPLE), candidates["exposed"].to_numpy()
        own = _beside(keys.filter(exposed), shown).select(tasks.keys()).to_numpy()
        feedback = pl.read_parquet(truth / "feedback" / "*.parquet")
        caused = [_caused(keys.filter(exposed), feedback, task) for task in tasks.values()]
        known = _beside(keys, _listed(keys, truth))
        click = known["attraction"].to_numpy()
        bought = click * known["conversion"].to_numpy()
        chances = np.stack([bought if task == "conversion" else click for task in tasks], axis=1)
        earlier = np.broadcast_to(-known["position"].to_numpy()[:, None], chances.shape)
        labels = {"own": own, "caused": np.stack(caused, axis=1)}
        return cls(tuple(tasks), keys, exposed, labels, chances, earlier.astype(np.float64))

    def rows(self, score: Floats, seed: int, arm: str, model: str) -> Iterator[dict[str, object]]:
        """What is written down of an arm and a model."""
        keyed = {"seed": seed, "arm": arm, "model": model}
        for task, label, metric, value in self.metrics(score):
            yield keyed | {"task": task, "label": label, "metric": metric, "value": value}

    def metrics(self, score: Floats) -> Iterator[tuple[str, str, str, float]]:
        """AUC and GAUC by user of each task under each label, and NDCG@10 of whole lists."""
        user = self.keys.filter(self.exposed)["user"].to_numpy()
        for label, positive in self.labels.items():
            for k, task in enumerate(self.tasks):
                columns = score[self.exposed, k], positive[:, k]
                for metric, group in (("AUC", np.zeros_like(user)), ("GAUC", user)):
                    auc, size, _ = auc_by_group(*columns, group)
                    yield task, label, metric, float((auc * size).sum() / size.sum())
        for k, task in enumerate(self.tasks):
            lists = self.keys.select("request_id", score=score[:, k], gain=self.chances[:, k])
            yield task, "lists", "NDCG", ndcg(lists)


def ndcg(lists: pl.DataFrame) -> float:
    """NDCG@10, the mean over requests: Σ gain / log2(1 + rank) of ten, over the most it can be.

    Columns `request_id`, `score` and `gain`; candidates of one score share their mean gain.
    """
    mean = pl.col("gain").mean().over("request_id", "score")
    got, most = mean * _discount("score"), pl.col("gain") * _discount("gain")
    sums = lists.with_columns(got=got, most=most).group_by("request_id").sum()
    shares: Floats = (sums["got"] / sums["most"]).to_numpy()
    return float(shares.mean())


def _discount(column: str) -> pl.Expr:
    rank = pl.col(column).rank("ordinal", descending=True).over("request_id")
    return pl.when(rank <= 10).then(1 / (rank + 1).log(2)).otherwise(0.0)


def _beside(keys: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """What is told of each sample, in the order of `keys`; an error where nothing is."""
    both = keys.join(told, on=SAMPLE, how="left", maintain_order="left", validate="m:1")
    if both.null_count().sum_horizontal()[0]:
        raise AssertionError("expected every sample that is judged to be known to the truth")
    return both


def _listed(keys: pl.DataFrame, truth: Path) -> pl.DataFrame:
    """Every candidate of the requests of `keys`: both chances, and its position."""
    numbers = pl.read_parquet(truth / "items.parquet").select("item_id", item="number")
    return (
        pl.scan_parquet(truth / "requests" / "*.parquet")
        .select("request_id", "item", "attraction", "conversion")
        .join(keys.lazy().select("request_id").unique(), on="request_id")
        .with_columns(position=pl.int_ranges(pl.col("item").list.len()))
        .explode("item", "attraction", "conversion", "position")
        .join(numbers.lazy(), on="item")
        .unique(SAMPLE, keep="first")
        .collect()
    )


def _caused(keys: pl.DataFrame, feedback: pl.DataFrame, task: Task) -> Bools:
    events = feedback.filter(stream=task.stream)
    in_time = events.filter(pl.col("time_ms") <= pl.col("cause_time_ms") + task.horizon_ms)
    came = in_time.select("item_id", request_id="cause_request_id", came=True).unique()
    both = keys.join(came, on=["request_id", "item_id"], how="left", maintain_order="left")
    column: Bools = both["came"].fill_null(False).to_numpy()
    return column
