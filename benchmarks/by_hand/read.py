"""Parquet files to tables in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.by_hand.arrays import Ints
from benchmarks.by_hand.names import FEEDBACK, ITEM_IDS, REQUEST_IDS
from benchmarks.by_hand.words import Words, together
from schemas.spec import Spec

CODED = ("user_id", "scenario", "query", "item_id", "stream", *ITEM_IDS, *REQUEST_IDS)


@dataclass(frozen=True)
class Events:
    """What was read: exposures, their candidates, feedback (purchases, then clicks), refunds."""

    shown: pa.Table
    offsets: Ints
    candidates: pa.Table
    feedback: pa.Table
    refunds: pa.Table
    user: tuple[Words, Words, Words]
    item: tuple[Words, Words]
    rank: Ints
    """The place of each user among all, by the bytes of their ids."""

    by_rank: Ints


def read_events(spec: Spec, source: Path) -> Events:
    """All files of all streams; texts that repeat come as codes, one vocabulary a kind."""
    tables = {name: _read(source / name) for name in spec.streams}
    shown, refunds = tables["exposure"], tables["refund"]
    feedback = pa.concat_tables([tables[name] for name in FEEDBACK])
    lists = shown["candidates"].chunks
    candidates = pa.Table.from_struct_array(pa.chunked_array([one.flatten() for one in lists]))
    sizes = np.concatenate([pc.list_value_length(one).fill_null(0) for one in lists])
    users = together(shown["user_id"], feedback["user_id"], refunds["user_id"])
    by_rank = pc.sort_indices(users[0].values).to_numpy().astype(np.int64)
    rank = np.empty_like(by_rank)
    rank[by_rank] = np.arange(len(rank))
    return Events(
        shown=shown,
        offsets=np.append(0, np.cumsum(sizes, dtype=np.int64)),
        candidates=candidates,
        feedback=feedback,
        refunds=refunds,
        user=users,
        item=together(candidates["item_id"], feedback["item_id"]),
        rank=rank,
        by_rank=by_rank,
    )


def _read(folder: Path) -> pa.Table:
    nested = [f"candidates.list.element.{name}" for name in ("item_id", *ITEM_IDS)]
    files = sorted(folder.glob("*.parquet"))
    read = [
        pq.read_table(file, read_dictionary=[*CODED, *nested], use_threads=False) for file in files
    ]
    return pa.concat_tables(read)
