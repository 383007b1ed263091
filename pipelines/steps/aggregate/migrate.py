"""The state of step 4 under a spec that has grown, and dealt out to other shards."""

from collections.abc import Iterable

import pyarrow as pa

from pipelines.steps.aggregate.sequences import in_order
from pipelines.steps.attribute.actions import action_schema
from pipelines.steps.conform import conformed
from pipelines.steps.step import Tables
from schemas.hashing import shard_of
from schemas.spec import Spec


def migrated(state: Tables, spec: Spec) -> Tables:
    """Actions carry nulls in features that sequences did not have; lists of ids are empty."""
    actions = conformed(state["actions"], action_schema(spec))
    for at, field in enumerate(actions.schema):
        if pa.types.is_list(field.type) and actions[field.name].null_count == actions.num_rows:
            empty = pa.array([[]] * actions.num_rows, field.type)
            actions = actions.set_column(at, field, empty)
    return {"actions": actions}


def resharded(states: Iterable[Tables], shard: int, shards: int) -> Tables:
    """The actions of one shard's users, from the states of all old shards."""
    parts = [_of(state["actions"], shard, shards) for state in states]
    return {"actions": in_order(pa.concat_tables(parts))}


def _of(actions: pa.Table, shard: int, shards: int) -> pa.Table:
    return actions.filter(pa.array(shard_of(actions["user"].to_numpy(), shards) == shard))
