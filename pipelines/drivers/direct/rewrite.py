"""A new generation of a state: step by step, shard by shard, one shard in memory at a time."""

from collections.abc import Iterator

from pipelines.drivers.direct.state_store import StateStore
from pipelines.steps import aggregate, attribute, resolve
from pipelines.steps.step import Tables
from schemas.spec import Spec
from schemas.spec.growth import Values


def migrated(old: StateStore, new: StateStore, epoch: int, values: Values, spec: Spec) -> None:
    """Write the state after `epoch` for a spec that grew from the one of these values."""
    for step in old.steps():
        for shard in old.shards(step):
            state = old.load(step, shard, epoch + 1)
            if state:
                new.save(step, shard, epoch, dict(_migrated(step, state, values, spec)))


def _migrated(step: str, state: Tables, values: Values, spec: Spec) -> Tables:
    if step == "attribute":
        return attribute.migrated(state, values, spec)
    if step == "aggregate":
        return aggregate.migrated(state, spec)
    return resolve.migrated(state, spec)


def resharded(old: StateStore, new: StateStore, epoch: int, shards: int) -> None:
    """Write the state after `epoch`, dealt out to so many shards."""
    for step in old.steps():
        for shard in range(shards):
            state = _resharded(step, _states(old, step, epoch), shard, shards)
            if state:
                new.save(step, shard, epoch, dict(state))


def _states(old: StateStore, step: str, epoch: int) -> Iterator[Tables]:
    loaded = (old.load(step, shard, epoch + 1) for shard in old.shards(step))
    return (state for state in loaded if state)


def _resharded(step: str, states: Iterator[Tables], shard: int, shards: int) -> Tables:
    if step == "attribute":
        return attribute.resharded(states, shard, shards)
    if step == "aggregate":
        return aggregate.resharded(states, shard, shards)
    if step == "resolve_by_item":
        return resolve.resharded(states, shard, shards)
    return resolve.resharded_cells(states, shard)
