"""Seeing a process run: an HTTP endpoint for machines and a live view for people.

It stands at the front door, for pipelines and learner may not import each other and both are to be
seen the same way. A room tells what it does as a plain dataclass (the pipeline: `Status`); here a
collector turns that into metrics, and `serving` serves any registry: the server knows no room.
"""

from millstream.monitor.board import Board
from millstream.monitor.endpoint import serving

__all__ = ["Board", "serving"]
