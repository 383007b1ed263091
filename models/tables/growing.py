"""A table in which no two ids share a row, which grows with the ids and lets go of unused ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.tables.base import EmbeddingTable
from models.tables.index import Ints
from models.tables.slots import NONE, UNUSED, Slots

MISSING, RARE, FIRST = 0, 1, 2
"""Row of absent values, row of ids without a row of their own, and the first of the others."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


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
        self._changed = np.zeros(rows, np.bool_)
        self._salt = int(torch.randint(1 << 62, ()))
        self.weight = nn.Parameter(torch.empty(rows + FIRST, dim))
        self.register_buffer("square_sum", torch.empty(rows + FIRST))
        with torch.no_grad():
            self.weight[:FIRST] = torch.randn(FIRST, dim) * std
            self.square_sum[:FIRST] = 0

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        rows = self.rows_of(ids, present).to(self.weight.device)
        return functional.embedding(rows, self.weight, sparse=True)

    def rows_of(self, ids: Tensor, present: Tensor) -> Tensor:
        """The row of each id, int64 [n], on the host; in training mode ids may get one."""
        there = present.cpu().numpy()
        wanted = ids.cpu().numpy()[there]
        slots = self._claimed(wanted) if self.training else self.slots.known(wanted)
        rows = np.full(len(there), MISSING)
        rows[there] = np.where(slots == NONE, RARE, slots + FIRST)
        return torch.from_numpy(rows)

    def tick(self) -> None:
        """Time goes on by one."""
        self.slots.tick()
        self._seen.tick()

    @property
    def size(self) -> int:
        """Rows that are or were in use, the shared ones included: `weight[size:]` means nothing."""
        return self.slots.size + FIRST

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows in use and of their sums."""
        return self.size * (self.dim + 1) * self.weight.element_size()

    def _claimed(self, ids: Ints) -> Ints:
        admitted = self._admitted(ids) if self.admit_after > 1 else None
        claimed = self.slots.claim(ids, admitted)
        if len(claimed.born):
            self._begin(claimed.born)
        self._changed[claimed.slots[claimed.slots != NONE]] = True
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
        rows = torch.from_numpy(slots + FIRST).to(self.weight.device)
        values = torch.from_numpy(self._initial(self.slots.ids(slots)))
        self.weight[rows] = values.to(self.weight.device)
        self.square_sum[rows] = 0

    def _initial(self, ids: Ints) -> npt.NDArray[np.float32]:
        """Uniform in ±√3·std: the first 24 bits of a hash of table, id and column; [n, dim]."""
        column = np.arange(1, self.dim + 1, dtype=np.uint64) * _GOLDEN
        with np.errstate(over="ignore"):
            mixed = (ids.view(np.uint64)[:, None] ^ np.uint64(self._salt)) + column
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
                mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        unit = (mixed >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - 1
        return unit * np.float32(3**0.5 * self.std)

    def _save_to_state_dict(
        self,
        destination: dict[str, Any],
        prefix: str,
        keep_vars: bool,  # noqa: ARG002
    ) -> None:
        """Rows in use, which ids have them, and what decides about the next ones."""
        for name, tensor in self._state(np.arange(self.size)).items():
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
        names = self._state(np.arange(FIRST))
        missing = [prefix + name for name in names if prefix + name not in state_dict]
        if missing:
            missing_keys += missing
            return
        try:
            self._restore({name: state_dict[prefix + name] for name in names})
        except (ValueError, RuntimeError) as error:
            error_msgs.append(f"{prefix.removesuffix('.')}: {error}")

    def changes(self) -> dict[str, Tensor]:
        """What differs from the state at the last call, for `with_changes`; O(rows changed).

        The first call gives every row. Ids that only wait for their row are given as a whole.
        """
        rows = np.flatnonzero(self._changed[: self.slots.size]) + FIRST
        self._changed[:] = False
        rows = np.concatenate([np.arange(FIRST), rows])
        return self._state(rows) | {"rows": torch.from_numpy(rows)}

    def _state(self, rows: Ints) -> dict[str, Tensor]:
        """The state with these rows only."""
        at = torch.from_numpy(rows).to(self.weight.device)
        slots, seen = self.slots.state(), self._seen.state()
        own = {name: slots[name][rows[FIRST:] - FIRST] for name in ("ids", "last_used")}
        whole = {name: slots[name] for name in ("free", "head")}
        waiting = {f"seen_{name}": values for name, values in seen.items()}
        waiting["sightings"] = self._sightings[: len(seen["ids"])].copy()
        waiting["salt"] = np.array(self._salt)
        arrays = {name: torch.from_numpy(array) for name, array in (own | whole | waiting).items()}
        rows_of = {"weight": self.weight.detach()[at], "square_sum": self.square_sum[at]}
        return rows_of | arrays

    @torch.no_grad()
    def _restore(self, state: Mapping[str, Tensor]) -> None:
        arrays = {name: tensor.cpu().numpy() for name, tensor in state.items()}
        size, width = state["weight"].shape
        if width != self.dim or size > len(self.weight):
            raise ValueError(
                f"expected at most {len(self.weight):,} rows of {self.dim} numbers, "
                f"received {size:,} of {width}"
            )
        self.slots.restore({name: arrays[name] for name in _SLOTS})
        self._seen.restore({name: arrays[f"seen_{name}"] for name in _SLOTS})
        self._sightings[: len(arrays["sightings"])] = arrays["sightings"]
        self._salt = int(arrays["salt"])
        self._changed[: self.slots.size] = True
        self.weight[:size] = state["weight"].to(self.weight.device)
        self.square_sum[:size] = state["square_sum"].to(self.weight.device)


_SLOTS = ("ids", "last_used", "free", "head")
_BY_ROW = {"weight": 0, "square_sum": 0, "ids": FIRST, "last_used": FIRST}
"""What the state has a row of, and how many rows it leaves out at the beginning."""


def with_changes(state: Mapping[str, Tensor], changes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a table after `changes`, of the same table, were made to it."""
    rows = changes["rows"]
    size = max(len(state["weight"]), int(rows.max()) + 1)
    merged = {name: tensor for name, tensor in changes.items() if name != "rows"}
    for name, left_out in _BY_ROW.items():
        old, new = state[name], changes[name]
        whole = old.new_zeros(size - left_out, *old.shape[1:])
        whole[: len(old)] = old
        whole[rows[left_out:] - left_out] = new
        merged[name] = whole
    merged["last_used"][changes["free"]] = UNUSED
    return merged
