"""A table in which no two ids share a row, which grows with the ids and lets go of unused ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.device import moved
from models.tables.base import Changes, EmbeddingTable, untouched_zeros
from models.tables.index import Ints
from models.tables.initial import initial_rows
from models.tables.slots import NONE, Slots
from models.tables.whole import overlaid, whole_rows, whole_slots

Array = TypeVar("Array")

MISSING, RARE, FIRST = 0, 1, 2
"""Row of absent values, row of ids without a row of their own, and the first of the others."""


class GrowingTable(EmbeddingTable):
    """Row 0 is *missing*, row 1 stands for every id that has no row, each other has one id.

    In training mode an id gets a row of its own once it was looked up `admit_after` times; in
    evaluation mode nothing changes. An id that was not looked up for more than `expire_after`
    ticks of the clock is new again. When all rows are taken, the row of an id that was not used
    for long is given on to the new one (see `Slots`), and ids in use now are never pushed out:
    what then finds no row is counted `refused` and reads row 1.

    A row begins uniform in ±√3·std, a function of the id and the table alone: neither the order
    of ids nor the history of a row shows. Ids are looked up on the host; the rows may lie on any
    device. On the host, memory is taken as rows come into use; on a device all of it at once.

    Args:
        rows: the most rows there may be, without the two shared ones.
        dim: width of a row.
        std: standard deviation of the initial values.
        admit_after: look-ups, the one at hand counted, until an id has a row.
        expire_after: ticks without a look-up that an id survives; None for any number.
    """

    def __init__(
        self,
        rows: int,
        dim: int,
        std: float,
        admit_after: int = 1,
        expire_after: int | None = None,
    ) -> None:
        super().__init__()
        self.rows, self.std, self.admit_after = rows, std, admit_after
        self.slots = Slots(rows, expire_after)
        self._seen = Slots(rows if admit_after > 1 else 0, expire_after)
        self._sightings = np.zeros(self._seen.most, np.int64)
        self._salt = int(torch.randint(1 << 62, ()))
        self.weight = nn.Parameter(untouched_zeros(rows + FIRST, dim))
        self.register_buffer("square_sum", untouched_zeros(rows + FIRST))
        with torch.no_grad():
            self.weight[:FIRST] = torch.randn(FIRST, dim) * std

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        rows = moved(self.rows_of(ids, present), self.weight.device)
        return functional.embedding(rows, self.weight, sparse=True)

    def rows_of(self, ids: Tensor, present: Tensor) -> Tensor:
        """The row of each id, int64 [n], on the host; in training mode ids may get one."""
        there = present.numpy()
        wanted = ids.numpy()[there]
        slots = self._claimed(wanted) if self.training else self.slots.known(wanted)
        rows = np.full(len(there), MISSING)
        rows[there] = np.where(slots == NONE, RARE, slots + FIRST)
        return torch.from_numpy(rows)

    def tick(self) -> None:
        """A window has begun."""
        self.slots.tick()
        self._seen.tick()

    @property
    def size(self) -> int:
        return self.slots.size + FIRST

    @property
    def counts(self) -> dict[str, int]:
        return {"rows": self.slots.in_use} | self.slots.counts

    def _claimed(self, ids: Ints) -> Ints:
        admitted = self._admitted(ids) if self.admit_after > 1 else None
        claimed = self.slots.claim(ids, admitted)
        if len(claimed.born):
            self._begin(claimed.born)
        return claimed.slots

    def _admitted(self, ids: Ints) -> npt.NDArray[np.bool_]:
        """Which ids were seen often enough; those with a row are, and are not counted."""
        admitted = self.slots.known(ids) != NONE
        claimed = self._seen.claim(ids[~admitted])
        self._sightings[claimed.born] = 0
        counted = claimed.slots[claimed.slots != NONE]
        np.add.at(self._sightings, counted, 1)
        enough = np.zeros(len(claimed.slots), np.bool_)
        enough[claimed.slots != NONE] = self._sightings[counted] >= self.admit_after
        admitted[~admitted] = enough
        return admitted

    @torch.no_grad()
    def _begin(self, slots: Ints) -> None:
        """Give rows that changed hands their initial values."""
        values = initial_rows(self.slots.ids(slots), self._salt, self.dim, self.std)
        on_host = torch.from_numpy(slots + FIRST), torch.from_numpy(values)
        rows, begun = moved(on_host, self.weight.device)
        self.weight.index_copy_(0, rows, begun.to(self.weight.dtype))
        for name in ("square_sum", *self.kept_beside):
            getattr(self, name).index_fill_(0, rows, 0)

    def live(self) -> dict[str, Tensor]:
        seen = self._seen.live()
        arrays = self.slots.live() | _named_seen(seen)
        sightings = self._sightings[: len(seen["ids"])]
        return self._part(arrays, sightings, {k: v[: self.size] for k, v in self.by_row.items()})

    def changes(self) -> dict[str, Tensor]:
        slots, seen = self.slots.changes(), self._seen.changes()
        rows = np.concatenate([np.arange(FIRST), slots.pop("slots") + FIRST])
        arrays = slots | _named_seen(seen) | {"rows": rows}
        sightings = self._sightings[seen["slots"]]
        return self._part(arrays, sightings, {k: _copied(v, rows) for k, v in self.by_row.items()})

    def all_changed(self) -> None:
        self.slots.all_changed()
        self._seen.all_changed()

    def restore(self, parts: Iterable[Changes]) -> None:
        self.slots.clear()
        self._seen.clear()
        for part in parts:
            self._take_over(part)
        self.slots.end()
        self._seen.end()

    @staticmethod
    def whole(parts: Sequence[Changes]) -> dict[str, Tensor]:
        slots = whole_slots([_slots_of(one) for one in parts])
        seen = whole_slots([_seen_of(one) for one in parts])
        sightings = overlaid([(one.get(f"{_SEEN}slots"), one["sightings"]) for one in parts])
        arrays = slots | _named_seen(seen) | {"sightings": sightings, "salt": parts[-1]["salt"]}
        by_row = [name for name in parts[-1] if name not in arrays.keys() | _PLACES]
        return arrays | whole_rows(parts, by_row)

    def _part(
        self, arrays: dict[str, Ints], sightings: Ints, by_row: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        own = {"sightings": sightings, "salt": np.array(self._salt)}
        return {k: torch.from_numpy(one) for k, one in (arrays | own).items()} | by_row

    @torch.no_grad()
    def _take_over(self, part: Changes) -> None:
        arrays = {name: part[name].cpu().numpy() for name in part if name not in self.by_row}
        rows = arrays.get("rows", np.arange(len(part["weight"])))
        width = part["weight"].shape[1]
        if width != self.dim or rows[-1] >= len(self.weight):
            raise ValueError(
                f"expected at most {len(self.weight):,} rows of {self.dim} numbers, "
                f"received {rows[-1] + 1:,} of {width}"
            )
        seen = _seen_of(arrays)
        self._sightings[seen.get("slots", slice(len(seen["ids"])))] = arrays["sightings"]
        self._seen.take_over(seen)
        self.slots.take_over(arrays | ({"slots": rows[FIRST:] - FIRST} if "rows" in arrays else {}))
        self._salt = int(arrays["salt"])
        for name, values in self.by_row.items():
            values[_range_or(rows)] = part[name].to(values)

    def _save_to_state_dict(
        self,
        destination: dict[str, Any],
        prefix: str,
        keep_vars: bool,  # noqa: ARG002
    ) -> None:
        """Rows in use, which ids have them, and what decides about the next ones."""
        for name, tensor in self.live().items():
            destination[prefix + name] = tensor

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],  # noqa: ARG002
        strict: bool,  # noqa: ARG002
        missing_keys: list[str],
        unexpected_keys: list[str],  # noqa: ARG002
        error_msgs: list[str],
    ) -> None:
        names = self.live().keys()
        missing = [prefix + name for name in names if prefix + name not in state_dict]
        if missing:
            missing_keys += missing
            return
        try:
            self.restore([{name: state_dict[prefix + name] for name in names}])
            self.all_changed()
        except ValueError as error:
            error_msgs.append(f"{prefix.removesuffix('.')}: {error}")


_SEEN = "seen_"


_PLACES = {"rows", f"{_SEEN}slots"}
"""Of changes: which rows, and which slots of the ids that were seen."""


def _named_seen(seen: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{_SEEN}{name}": array for name, array in seen.items()}


def _seen_of(part: Mapping[str, Array]) -> dict[str, Array]:
    return {k.removeprefix(_SEEN): one for k, one in part.items() if k.startswith(_SEEN)}


def _slots_of(part: Changes) -> Changes:
    return {**part, "slots": part["rows"][FIRST:] - FIRST} if "rows" in part else part


def _copied(values: Tensor, rows: Ints) -> Tensor:
    """A copy of some rows, which ascend."""
    at = _range_or(rows)
    return values[at].clone() if isinstance(at, slice) else values[at.to(values.device)]


def _range_or(rows: Ints) -> slice | Tensor:
    """Rows that ascend, as a slice if they are all from the first on: much faster to copy."""
    whole = int(rows[-1]) == len(rows) - 1
    return slice(0, len(rows)) if whole else torch.from_numpy(rows)
