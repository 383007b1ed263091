"""Rules 4 to 6: the labels that windows publish and the revisions of later cuts."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.arrays import Bools, Floats, Ints
from pipelines.steps.attribute.kernels import follow
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.attribute.retract import sample_times
from pipelines.steps.attribute.rules import KINDS, Rules
from pipelines.steps.attribute.tables import Credits
from pipelines.steps.order import order_by
from pipelines.steps.ragged import offsets_of
from pipelines.steps.step import NO_CUT


@dataclass(frozen=True)
class Label:
    """Labels of several samples: `credit` is the row shown, -1 for none."""

    sample: Ints
    task: Ints
    credit: Ints
    value: Floats


@dataclass(frozen=True)
class Revision:
    """Changes of published labels: at which cut, from which label of which cut to which."""

    sample: Ints
    task: Ints
    cut: Ints
    old_credit: Ints
    new_credit: Ints
    old_cut: Ints
    old_value: Floats
    new_value: Floats
    retraction: Bools
    late: Bools


@dataclass(frozen=True)
class _Runs:
    """Credits in (sample, task, time, event id) order, and where each label's run begins."""

    credits: Credits
    bounds: Ints
    task: Ints
    sample: Ints


def publish(memory: Memory, cut: int, rules: Rules) -> tuple[Label, Revision, Credits]:
    """Labels with a credit of the windows sealed now, revisions, and the credits they cite."""
    runs = _runs(memory, rules)
    credits, feedback = runs.credits, memory.feedback
    columns = (
        feedback.settle_ms[credits.feedback],
        credits.withdrawn_ms,
        feedback.value[credits.feedback],
    )
    kinds = np.array([KINDS[task.value] for task in rules.tasks], np.int64)
    sealed_at = rules.sealed_at(sample_times(memory, runs.sample))
    shown, value, rows, amounts = follow(
        runs.bounds, sealed_at, columns, kinds[runs.task], memory.last_cut, cut
    )
    now = shown > -2
    labels = Label(runs.sample[now], runs.task[now], shown[now], value[now])
    return labels, _revisions(memory, runs, rows, amounts), credits


def begun(memory: Memory, task: Ints, time_ms: Ints, rules: Rules) -> Bools:
    """Whether each task, by index, was there already when a request of this time was settled."""
    since = np.full(len(rules.tasks), NO_CUT)
    since[rules.task_index(memory.since.task)] = memory.since.cut
    return np.asarray(time_ms > since[task], np.bool_)


def _runs(memory: Memory, rules: Rules) -> _Runs:
    credits = memory.credits
    requested_ms = sample_times(memory, credits.sample)
    credits = credits.where(begun(memory, rules.task_index(credits.task), requested_ms, rules))
    task = rules.task_index(credits.task)
    time_ms = memory.feedback.time_ms[credits.feedback]
    ids = memory.feedback.event_id.take(pa.array(credits.feedback))
    order = order_by([credits.sample, task, time_ms], ids)
    credits, task = credits.take(order), task[order]
    first = np.ones(len(task), np.bool_)
    first[1:] = (credits.sample[1:] != credits.sample[:-1]) | (task[1:] != task[:-1])
    starts = np.flatnonzero(first)
    bounds = np.append(starts, len(task)).astype(np.int64)
    return _Runs(credits, bounds, task[starts], credits.sample[starts])


def _revisions(memory: Memory, runs: _Runs, rows: Ints, amounts: Floats) -> Revision:
    run, cut = rows[:, 0], rows[:, 1]
    counts = np.diff(runs.bounds)[run]
    offsets = offsets_of(counts)
    members = np.repeat(runs.bounds[run] - offsets[:-1], counts) + np.arange(offsets[-1])
    owner = np.repeat(np.arange(len(run)), counts)
    credits = runs.credits.take(members)
    settles = memory.feedback.settle_ms[credits.feedback] == cut[owner]
    falls = credits.withdrawn_ms == cut[owner]
    late = (settles & memory.feedback.late[credits.feedback]) | (falls & credits.withdrawn_late)
    return Revision(
        sample=runs.sample[run],
        task=runs.task[run],
        cut=cut,
        old_credit=rows[:, 2],
        new_credit=rows[:, 3],
        old_cut=rows[:, 4],
        old_value=amounts[:, 0],
        new_value=amounts[:, 1],
        retraction=_any(owner, falls, len(run)),
        late=_any(owner, late, len(run)),
    )


def _any(owner: Ints, holds: Bools, owners: int) -> Bools:
    return np.bincount(owner[holds], minlength=owners).astype(np.bool_)
