"""Which features make which feature token: groups of one meaning, MDL 3.1.1."""

from collections import Counter
from dataclasses import dataclass

from models.base import ModelError
from models.layout import Layout
from schemas.spec import FeatureOwner
from schemas.spec.table import near_match

USER, SCENARIO, ITEM, HISTORY, RECENT = "@user", "@scenario", "@item", "@history", "@recent"
BUILT_IN = (USER, SCENARIO, ITEM, HISTORY, RECENT)
"""What every batch has beside the declared features; no feature can be named so."""


@dataclass(frozen=True)
class FeatureGroup:
    """The members of one feature token."""

    name: str
    members: tuple[str, ...]


def groups_of(layout: Layout, declared: tuple[tuple[str, ...], ...]) -> tuple[FeatureGroup, ...]:
    """The declared groups, or if there are none, one for each owner and each sequence.

    Raises:
        ModelError: a name that is no feature, or one that is not in exactly one group.
    """
    if not declared:
        return derived_groups(layout)
    _check(layout, [name for members in declared for name in members])
    return tuple(FeatureGroup(" + ".join(members), tuple(members)) for members in declared)


def derived_groups(layout: Layout) -> tuple[FeatureGroup, ...]:
    """user, context, query, item, cross, history, recent: those that have members."""
    groups = (
        FeatureGroup("user", (USER, *_owned(layout, "user"))),
        FeatureGroup("context", (SCENARIO, *_owned(layout, "context"))),
        FeatureGroup("query", _owned(layout, "query")),
        FeatureGroup("item", (ITEM, *_owned(layout, "item"))),
        FeatureGroup("cross", _owned(layout, "cross")),
        FeatureGroup("history", (HISTORY,)),
        FeatureGroup("recent", (RECENT,)),
    )
    return tuple(group for group in groups if group.members)


def _owned(layout: Layout, owner: FeatureOwner) -> tuple[str, ...]:
    fields = (*layout.request, *layout.candidate)
    return tuple(field.name for field in fields if field.owner == owner)


def _check(layout: Layout, members: list[str]) -> None:
    known = (*BUILT_IN, *(field.name for field in (*layout.request, *layout.candidate)))
    for name in members:
        if name not in known:
            hint = near_match(name, known)
            raise ModelError(
                f"models.mdl.groups: expected features or {', '.join(BUILT_IN)}, "
                f"received {name!r}{hint}"
            )
    counts = Counter(members)
    wrong = [f"{name} {counts[name]} times" for name in known if counts[name] != 1]
    if wrong:
        raise ModelError(
            f"models.mdl.groups: expected each feature in exactly one group, "
            f"received {', '.join(wrong)}"
        )
