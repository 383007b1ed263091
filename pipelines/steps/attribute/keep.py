"""Which candidates of a request are kept: the exposed ones and a few unexposed (rule 9)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Floats, Ints
from pipelines.steps.attribute.keep_kernel import kept_candidates
from pipelines.steps.attribute.rules import Rules
from schemas.hashing import hash_strings

_UNSIGNED = np.int64(-(1 << 63))
"""Turns the order of signed integers into that of unsigned ones."""


@dataclass(frozen=True)
class Kept:
    """Rows of the kept candidates, request after request, by position in each.

    `counts` and `repeats` are per request; `item`, the hash of its id, `exposed` and
    `probability` per kept candidate.
    """

    rows: Ints
    item: Ints
    counts: Ints
    repeats: Ints
    exposed: Bools
    probability: Floats


def keep(events: pa.Table, offsets: Ints, candidates: pa.StructArray, rules: Rules) -> Kept:
    """The kept candidates of requests; `offsets` cuts the candidates by request.

    A repeated item stays once: exposed at its lowest position, else at its lowest. Of those not
    exposed a target-domain request keeps the k with the smallest hash of (seed, request id, item
    id); each is kept with probability `min(1, k / n)`.
    """
    exposed = candidates.field("exposed").to_numpy(zero_copy_only=False)
    item = hash_strings(candidates.field("item_id"))
    position = candidates.field("position").to_numpy()
    draws, key = _draws(events, offsets, candidates, exposed, rules)
    rows, counts, repeats, unexposed = kept_candidates(offsets, item, position, exposed, draws, key)
    chance = np.minimum(1.0, draws / np.maximum(unexposed, 1))
    shown = exposed[rows]
    probability = np.where(shown, 1.0, np.repeat(chance, counts))
    return Kept(rows, item[rows], counts, repeats, shown, probability)


def _draws(
    events: pa.Table, offsets: Ints, candidates: pa.StructArray, exposed: Bools, rules: Rules
) -> tuple[Ints, Ints]:
    """How many unexposed candidates each request keeps, and by which key they are ranked."""
    target = rules.spec.target
    draws, key = np.zeros(events.num_rows, np.int64), np.zeros(len(exposed), np.int64)
    if target is None or not target.unexposed:
        return draws, key
    wanted = rules.domain_of(hash_strings(events["scenario"])) == rules.target
    draws[wanted] = target.unexposed
    owner = np.repeat(np.arange(events.num_rows), np.diff(offsets))
    rows = np.flatnonzero(~exposed & wanted[owner])
    request = events["request_id"].combine_chunks().take(pa.array(owner[rows]))
    item = candidates.field("item_id").take(pa.array(rows))
    seed = pa.repeat(str(target.seed), len(rows))
    key[rows] = hash_strings(seed, request, item) ^ _UNSIGNED
    return draws, key
