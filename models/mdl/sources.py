"""The fields and tables of an MDL: the layout's, and the ids of users among them."""

from dataclasses import replace

import torch

from models.base import ModelError
from models.batch import Column, Ids, UserBatch
from models.layout import FeatureField, Layout
from models.mdl.config import MdlConfig
from models.mdl.groups import USER
from models.tables import Tables, tables_for
from schemas.spec.table import near_match

USER_FIELD = FeatureField(USER, "id", "user", "user")


def tables_of(layout: Layout, config: MdlConfig) -> Tables:
    """Tables for a layout's fields and for the ids of items and users."""
    with_user = replace(layout, request=(USER_FIELD, *layout.request))
    return tables_for(with_user, config.tables, config.embedding)


def request_columns(batch: UserBatch, known: bool) -> dict[str, Column]:
    """The batch's request features and the user's id, missing unless `known`, a row a request."""
    user = batch.user.index_select(0, batch.request_user)
    present = torch.full_like(user, known, dtype=torch.bool)
    return {USER: Ids(user, present), **batch.request_features}


def important_fields(layout: Layout, names: tuple[str, ...]) -> Layout:
    """The layout with only these features of requests and candidates.

    Raises:
        ModelError: a name that is no feature.
    """
    known = tuple(field.name for field in (*layout.request, *layout.candidate))
    for name in names:
        if name not in known:
            hint = near_match(name, known)
            raise ModelError(f"models.mdl.important: expected a feature, received {name!r}{hint}")
    return replace(
        layout,
        request=tuple(field for field in layout.request if field.name in names),
        candidate=tuple(field for field in layout.candidate if field.name in names),
    )
