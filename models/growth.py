"""From the weights of a model to those of one whose layout has more: features, tasks, scenarios.

An axis of a parameter may stand for things of the layout: a label for each place along it says
which (`RankingModel.axes`). A place that the old layout has too takes over its old value, the
others begin anew, but for what an old output reads of new inputs: that begins as zero.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.axes import Labels, Read
from models.base import ModelError, RankingModel
from models.layout import FeatureField, Layout
from models.tables import tables_in

_ORDERED = ("scenarios", "domains", "tasks", "actions", "request", "candidate", "action")
"""What of a layout has an order that models count on."""


def check_grown(old: Layout, new: Layout) -> None:
    """Raises ModelError unless all of the old layout is in the new one, in the same order."""
    for field in _ORDERED:
        before, after = getattr(old, field), getattr(new, field)
        if [one for one in after if one in before] != list(before):
            raise ModelError(
                f"{field}: expected all that the old spec has, in its order "
                f"({_names(before)}), received {_names(after)}. A model can be grown, not cut: "
                "keep what is there, or train anew in an empty state folder."
            )


@torch.no_grad()
def take_over(part: RankingModel, whole: RankingModel, layout: Layout, outer: Layout) -> None:
    """Give a model of a smaller layout the dense weights of one whose layout has all of it."""
    axes, outer_axes = whole.axes(layout), whole.axes(outer)
    weights, in_tables = dict(whole.named_parameters()), tuple(f"{n}." for n in tables_in(part))
    for name, parameter in part.named_parameters():
        if not name.startswith(in_tables):
            labels = tuple(zip(axes.get(name, ()), outer_axes.get(name, ()), strict=True))
            values = grown(parameter, weights[name], labels)
            assert values is not None, name
            parameter.copy_(values)


def grown(fresh: Tensor, old: Tensor, labels: tuple[tuple[Labels, Labels], ...]) -> Tensor | None:
    """`fresh` with the old values where labels say so; None if there is nothing to take over.

    Args:
        fresh: the new parameter, or what belongs to it element by element.
        old: the old one.
        labels: of each axis, the new labels and the old ones.
    """
    if not labels:
        return old.clone() if old.shape == fresh.shape else None
    taken = [_common(*pair, n) for pair, n in zip(labels, old.shape, strict=True)]
    sizes = zip(labels, old.shape, fresh.shape, strict=True)
    if any(pair == (None, None) and n != m for pair, n, m in sizes):
        return None
    to, source = zip(*taken, strict=True)
    if not all(map(len, to)):
        return None
    mixed = fresh.clone()
    for axis, (new, _) in enumerate(labels):
        if isinstance(new, Read):
            others = _others(to[axis], len(new))
            mixed[_grid((*to[:axis], others, *to[axis + 1 :]))] = 0
    mixed[_grid(to)] = old[_grid(source)].to(fresh)
    return mixed


def _grid(places: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The index of all combinations of these places along the axes."""
    return torch.meshgrid(*places, indexing="ij")


def _others(places: Tensor, size: int) -> Tensor:
    rest = torch.ones(size, dtype=torch.bool)
    rest[places] = False
    return rest.nonzero().squeeze(1)


def _common(new: Labels, old: Labels, size: int) -> tuple[Tensor, Tensor]:
    """Places of what both have: in the new axis, and in the old one."""
    if new is None or old is None:
        return torch.arange(size), torch.arange(size)
    place = {label: at for at, label in enumerate(old)}
    both = [(at, place[label]) for at, label in enumerate(new) if label in place]
    to, at = torch.tensor(both, dtype=torch.int64).view(-1, 2).unbind(1)
    return to, at


def _names(parts: Sequence[FeatureField | str]) -> str:
    names = [p if isinstance(p, str) else f"{p.name}: {p.type} of {p.table}" for p in parts]
    return ", ".join(names) or "none"
