"""Rules 4, 5 and 7: labels and their revisions."""

from dataclasses import dataclass

import numpy as np

from benchmarks.by_hand.actions import Actions
from benchmarks.by_hand.arrays import Array, Ints
from benchmarks.by_hand.credit import Credits
from benchmarks.by_hand.cuts import cut_after, sealed, span
from benchmarks.by_hand.kernels.labels import NEVER, revise, settle_labels
from benchmarks.by_hand.names import TASKS
from benchmarks.by_hand.requests import Requests
from schemas.spec import Spec


@dataclass(frozen=True)
class Labels:
    """The action that each sample's label shows (-1: none), and the revisions of later cuts."""

    shown: tuple[Array, Array]
    tier: Array
    revisions: Ints
    request_of: Ints


def label(requests: Requests, actions: Actions, credits: Credits, spec: Spec) -> Labels:
    """Rules 4, 5 and 7: what each window shows, and what changes afterwards."""
    request_of, settle = credits.request, cut_after(actions.time_ms, spec)
    sealed_at = sealed(requests.time_ms[request_of], spec)
    withdrawn = _withdrawn(requests.time_ms[request_of], actions, sealed_at, spec)
    placed = credits.sample >= 0
    moves = placed & ((settle > sealed_at) | (withdrawn != NEVER))
    pair, chains = credits.sample * 2 + actions.task, (credits.heads, credits.following)
    chained = np.flatnonzero(placed & ((credits.following >= 0) | moves))
    shown = (credits.heads[0].copy(), credits.heads[1].copy())
    settle_labels(shown, pair[chained], sealed_at[chained], *chains, settle, withdrawn)
    _, first = np.unique(pair[moves], return_index=True)
    dirty = np.flatnonzero(moves)[first]
    rows = revise(pair[dirty], sealed_at[dirty], *chains, settle, withdrawn)
    return Labels(shown, credits.tier, rows, request_of)


def _withdrawn(shown_ms: Ints, actions: Actions, sealed_at: Ints, spec: Spec) -> Ints:
    """Rule 7: from which cut on each action no longer stands; NEVER if it stays."""
    spans = np.array([span(spec, name) for name in TASKS])
    last = actions.fall_cut - spec.window.length_ms
    is_open = shown_ms + spans[actions.task] > np.maximum(actions.fall_ms, last)
    return np.where(is_open | (sealed_at >= actions.fall_cut), actions.fall_cut, NEVER)
