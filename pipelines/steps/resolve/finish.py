"""Requests made of foreign clicks, once queries and texts are known: rule 10's last choices."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.arrays import Bools, Floats, Ints
from pipelines.similarity.encoder import Encoder, encoder_of
from pipelines.similarity.similarity import Vectors, pairwise
from pipelines.steps.ragged import offsets_of
from pipelines.steps.step import Tables
from schemas.labels import ORIGIN_CODES
from schemas.spec import Searchify, Spec

_KEY = ("user", "id")
_RESOLVED = {"query": "query", "query_path": "path", "query_score": "score"}
"""Columns of a request, and what `answers` calls them."""


def finish(events: Tables, spec: Spec, searchify: Searchify) -> pa.Table:
    """`pseudo` requests with their queries and those negatives that are similar enough.

    Negatives: at or above the floor, by falling similarity to the positive, then position, at
    most m. Cross features with a recipe are computed again.
    """
    pseudo = events["pseudo"].combine_chunks()
    if not pseudo.num_rows:
        return pseudo
    encoder = encoder_of(searchify.encoder)
    shown = _Shown.of(pseudo, events["texts"])
    text = _Embedded.of(shown.text, encoder)
    positive = np.flatnonzero(shown.is_positive)[shown.owner]
    score = text.similarity(positive, text, np.arange(len(shown.owner)))
    kept = shown.is_positive | _similar(shown, score, searchify)
    answers = _joined(pseudo, events["answers"], tuple(_RESOLVED.values()), _KEY)
    columns = {name: answers[told] for name, told in _RESOLVED.items()}
    recomputed = _recipes(shown, answers["query"], spec, encoder)
    candidates = pseudo["candidates"].combine_chunks()
    columns["candidates"] = _narrowed(candidates, shown, kept, recomputed)
    return _with_columns(pseudo, columns)


def _with_columns(table: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    for name, column in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), column)
    return table


@dataclass(frozen=True)
class _Shown:
    """All candidates of all requests, one row each, with what their items were called."""

    owner: Ints
    position: Ints
    is_positive: Bools
    title: pa.StringArray
    text: pa.StringArray

    @classmethod
    def of(cls, pseudo: pa.Table, texts: pa.Table) -> "_Shown":
        candidates = pseudo["candidates"].combine_chunks()
        items = candidates.field("item")
        owner = np.repeat(np.arange(len(items)), np.diff(items.offsets.to_numpy()))
        keys = {name: pseudo[name].take(pa.array(owner)) for name in _KEY}
        rows = pa.table(keys | {"item": items.flatten()})
        told = _joined(rows, texts, ("title", "text"), (*_KEY, "item"))
        origin = candidates.field("origin").flatten().to_numpy()
        return cls(
            owner=owner,
            position=candidates.field("position").flatten().to_numpy().astype(np.int64),
            is_positive=origin == ORIGIN_CODES["searchified_positive"],
            title=told["title"],
            text=told["text"],
        )


def _joined(
    left: pa.Table, right: pa.Table, columns: tuple[str, ...], keys: tuple[str, ...]
) -> dict[str, pa.Array]:
    """Columns of `right` for each row of `left`, in its order; null where nothing was told."""
    wanted = pl.DataFrame(pl.from_arrow(left.select(list(keys))))
    told = pl.DataFrame(pl.from_arrow(right.select([*keys, *columns])))
    both = wanted.join(told, on=list(keys), how="left", maintain_order="left")
    kinds = {name: right.schema.field(name).type for name in columns}
    return {name: both[name].to_arrow().cast(kinds[name]) for name in columns}


@dataclass(frozen=True)
class _Embedded:
    """Vectors of distinct texts, and which of them each row has; -1 for none."""

    vectors: Vectors
    code: Ints

    @classmethod
    def of(cls, texts: pa.StringArray, encoder: Encoder) -> "_Embedded":
        words = texts.dictionary_encode()
        code = words.indices.fill_null(-1).to_numpy().astype(np.int64)
        return cls(encoder.encode(words.dictionary), code)

    def similarity(self, rows: Ints, other: "_Embedded", others: Ints) -> Floats:
        """The cosine of rows with rows of another; nan where either has no text."""
        left, right = self.code[rows], other.code[others]
        known = (left >= 0) & (right >= 0)
        score = np.full(len(left), np.nan)
        score[known] = pairwise(self.vectors[left[known]], other.vectors[right[known]])
        return score


def _similar(shown: _Shown, score: Floats, searchify: Searchify) -> Bools:
    """The m most similar candidates of each request but for its positive."""
    rows = np.flatnonzero(~shown.is_positive & (score >= searchify.floor))
    owner = shown.owner[rows]
    order = np.lexsort((shown.position[rows], -score[rows], owner))
    rows, owner = rows[order], owner[order]
    rank = np.arange(len(rows)) - np.searchsorted(owner, owner)
    kept = np.zeros(len(shown.owner), np.bool_)
    kept[rows[rank < searchify.negatives]] = True
    return kept


def _recipes(
    shown: _Shown, query: pa.StringArray, spec: Spec, encoder: Encoder
) -> dict[str, pa.Array]:
    """Cross features that the spec tells how to compute, one value a candidate."""
    target = spec.target.domain if spec.target else ""
    cross = [f for f in spec.owned_by("cross") if f.is_logged_in(target)]
    named = [f.name for f in cross if f.recipe == "query_title_similarity"]
    if not named:
        return {}
    asked, titles = _Embedded.of(query, encoder), _Embedded.of(shown.title, encoder)
    score = titles.similarity(np.arange(len(shown.owner)), asked, shown.owner)
    return {name: pa.array(score, mask=np.isnan(score)) for name in named}


def _narrowed(
    candidates: pa.StructArray, shown: _Shown, kept: Bools, recomputed: dict[str, pa.Array]
) -> pa.StructArray:
    """Only the kept candidates, in every array of the struct."""
    rows = pa.array(np.flatnonzero(kept))
    counts = np.bincount(shown.owner[kept], minlength=len(candidates))
    return _narrow(candidates, rows, pa.array(offsets_of(counts).astype(np.int32)), recomputed)


def _narrow(
    struct: pa.StructArray, rows: pa.Array, offsets: pa.Array, recomputed: dict[str, pa.Array]
) -> pa.StructArray:
    parts = []
    for field in struct.type:
        column = struct.field(field.name)
        if pa.types.is_struct(field.type):
            parts.append(_narrow(column, rows, offsets, {}))
            continue
        values = recomputed.get(field.name, column.flatten()).take(rows)
        parts.append(pa.ListArray.from_arrays(offsets, values, type=field.type))
    return pa.StructArray.from_arrays(parts, fields=list(struct.type))
