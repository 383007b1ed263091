"""Hypothesis strategies for small products and the events that reach them, at their worst.

Times are small integers near the edges that rules turn on, ids come from tiny pools, and what is
drawn first is the plainest, so that a failure shrinks to a few events that a person can read.
"""

from tests.worlds.schedules import World, target_worlds, worlds
from tests.worlds.specs import specs, target_specs

__all__ = ["World", "specs", "target_specs", "target_worlds", "worlds"]
