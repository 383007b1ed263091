"""What the places along a parameter's axes stand for: how a model can be grown, see `growth`."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

from models.layout import FeatureField

Labels = Sequence[Hashable] | None
"""A label for each place along an axis; None: they stand for nothing of the layout."""

Axes = Mapping[str, tuple[Labels, ...]]
"""Of parameters by name, the labels of each axis."""


class Read(tuple[Hashable, ...]):
    """Labels of an axis that is summed over: of what a layer reads.

    What an old output takes of a new place begins as zero, so that growing does not move it.
    """


def wide(labels: Iterable[Hashable], width: int) -> list[Hashable]:
    """Labels of an axis that has `width` places for each of these."""
    return [(label, at) for label in labels for at in range(width)]


def features(fields: Iterable[FeatureField]) -> list[Hashable]:
    """Labels of declared features, which differ from all that a model has beside them."""
    return [("feature", field.name) for field in fields]


def under(name: str, axes: Axes) -> Axes:
    """The axes of a module's parameters, as those of the model that has it under this name."""
    return {f"{name}.{parameter}": labels for parameter, labels in axes.items()}
