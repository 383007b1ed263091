"""What the places along a parameter's axes stand for: how a model can be grown, see `growth`."""

from collections.abc import Hashable, Mapping, Sequence

Labels = Sequence[Hashable] | None
"""A label for each place along an axis; None: they stand for nothing of the layout."""

Axes = Mapping[str, tuple[Labels, ...]]
"""Of parameters by name, the labels of each axis."""


def wide(labels: Sequence[Hashable], width: int) -> list[Hashable]:
    """Labels of an axis that has `width` places for each of these."""
    return [(label, at) for label in labels for at in range(width)]
