"""Growing tables against dictionaries: which id has which row, and what the row has learned."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.rowwise import RowwiseAdagrad
from models.tables import GrowingTable, HashedTable
from models.tables.index import SEGMENT, find, insert, insert_all, new_index, remove
from models.tables.slots import LOOK, SWEEP, Slots


def test_the_index_is_a_dictionary_through_splits_and_removals() -> None:
    rng = np.random.default_rng(5)
    index, expected = new_index(40 * SEGMENT), dict[int, int]()
    ids = rng.integers(-(2**63), 2**63 - 1, 20 * SEGMENT)
    for slot, one in enumerate(ids.tolist()):
        insert(index, one, slot)
        expected[one] = slot
        if slot % 3 == 2:
            gone = ids[rng.integers(slot + 1)].item()
            if gone in expected:
                remove(index, gone)
                del expected[gone]
    assert index.head[1] > 8  # segments: it has split, and more than once
    for one in ids.tolist():
        assert find(index, one) == expected.get(one, -1)
    for one in range(1000):
        assert find(index, one) == -1
    assert index.used[: index.head[1]].sum() == len(expected)


@pytest.mark.parametrize("size", [0, 1, 700, 20 * SEGMENT])
def test_an_index_made_at_once_finds_what_one_made_id_by_id_finds(size: int) -> None:
    rng = np.random.default_rng(size)
    index, ids = new_index(40 * SEGMENT), rng.integers(-(2**63), 2**63 - 1, size)
    there = rng.random(size) < 0.9
    insert_all(index, ids, there)
    for slot, one in enumerate(ids.tolist()):
        assert find(index, one) == (slot if there[slot] else -1)
    assert index.used[: index.head[1]].sum() == there.sum()
    # It goes on growing and shrinking as any other.
    more = rng.integers(-(2**63), 2**63 - 1, 15 * SEGMENT)
    for slot, one in enumerate(more.tolist()):
        insert(index, one, size + slot)
    kept = set(np.flatnonzero(there)[1::2].tolist())
    for slot in np.flatnonzero(there)[::2]:
        remove(index, ids[slot])
    for slot in np.flatnonzero(there):
        assert (find(index, ids[slot]) == slot) == (slot in kept)
    assert [find(index, one) for one in more] == list(range(size, size + len(more)))


@dataclass
class SlowSlots:
    """The rules of `Slots`, one id at a time."""

    most: int
    expire_after: int | None
    clock: int = 0
    slot_of: dict[int, int] = field(default_factory=dict)
    last_used: dict[int, int] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    size: int = 0
    hand: int = 0
    broom: int = 0
    counts: dict[str, int] = field(
        default_factory=lambda: {"refused": 0, "given_on": 0, "expired": 0}
    )

    def has_expired(self, one: int) -> bool:
        return self.expire_after is not None and (
            self.clock - self.last_used[one] > self.expire_after
        )

    def known(self, ids: list[int]) -> list[int]:
        return [
            self.slot_of[one] if one in self.slot_of and not self.has_expired(one) else -1
            for one in ids
        ]

    def claim(self, ids: list[int], wanted: list[bool]) -> tuple[list[int], list[int]]:
        slots, born = [], []
        for one, is_wanted in zip(ids, wanted, strict=True):
            slot = self.slot_of.get(one, -1)
            if slot >= 0 and self.has_expired(one):
                if is_wanted:
                    born.append(slot)
                    self.counts["expired"] += 1
                else:
                    slot = -1
            if slot >= 0:
                self.last_used[one] = self.clock
            slots.append(slot)
        self.sweep(SWEEP * len(ids))
        for at, (one, is_wanted) in enumerate(zip(ids, wanted, strict=True)):
            if slots[at] < 0 and is_wanted:
                slots[at] = self.slot_of.get(one, -1)
                if slots[at] < 0:
                    slots[at] = self.give(one)
                    born += [slots[at]] if slots[at] >= 0 else []
        return slots, born

    def give(self, one: int) -> int:
        if self.free:
            slot = self.free.pop()
        elif self.size < self.most:
            slot, self.size = self.size, self.size + 1
        else:
            seen = [(self.hand + step) % self.most for step in range(min(LOOK, self.most))]
            self.hand = (self.hand + len(seen)) % self.most
            owner = {slot: owner for owner, slot in self.slot_of.items()}
            old = [slot for slot in seen if self.last_used[owner[slot]] < self.clock]
            if not old:
                self.counts["refused"] += 1
                return -1
            slot = min(old, key=lambda s: self.last_used[owner[s]])
            self.counts["given_on"] += 1
            del self.slot_of[owner[slot]]
        self.slot_of[one] = slot
        self.last_used[one] = self.clock
        return slot

    def sweep(self, steps: int) -> None:
        if self.expire_after is None or not self.size:
            return
        for _ in range(min(steps, self.size)):
            slot = self.broom % self.size
            self.broom = slot + 1
            owner = next((one for one, s in self.slot_of.items() if s == slot), None)
            if owner is not None and self.has_expired(owner):
                del self.slot_of[owner]
                self.free.append(slot)
                self.counts["expired"] += 1


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_slots_are_given_kept_and_given_on_as_the_rules_say(data: st.DataObject) -> None:
    most = data.draw(st.sampled_from([1, 2, 5, LOOK + 7]))
    expire_after = data.draw(st.sampled_from([None, 0, 1, 3]))
    fast, slow = Slots(most, expire_after), SlowSlots(most, expire_after)
    some = st.lists(st.integers(-2, most + 4), max_size=2 * most)
    for _ in range(data.draw(st.integers(1, 12))):
        ids = data.draw(some)
        wanted = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
        array = np.array(ids, np.int64)
        assert fast.known(array).tolist() == slow.known(ids)
        claimed = fast.claim(array, np.array(wanted, np.bool_))
        assert (claimed.slots.tolist(), claimed.born.tolist()) == slow.claim(ids, wanted)
        assert fast.in_use == len(slow.slot_of)
        assert fast.counts == slow.counts
        if data.draw(st.booleans()):
            fast.tick()
            slow.clock += 1
        if data.draw(st.booleans()):
            again = Slots(most, expire_after)
            again.take_over(fast.live())
            again.end()
            fast = again


def lookups(*ids: int | None) -> tuple[Tensor, Tensor]:
    """Ids and which of them are there; None is absent."""
    values = torch.tensor([0 if one is None else one for one in ids])
    return values, torch.tensor([one is not None for one in ids])


def test_absent_values_rare_ids_and_known_ids_have_rows_apart() -> None:
    table = GrowingTable(rows=10, dim=2, std=1.0)
    assert table.rows_of(*lookups(7, None, -7, 7)).tolist() == [2, 0, 3, 2]
    table.eval()
    assert table.rows_of(*lookups(8, -7, None)).tolist() == [1, 3, 0]
    assert table.size == 4
    # Four rows of two numbers and a sum, four bytes each.
    assert table.memory_bytes == 4 * 3 * 4


def test_an_id_has_a_row_once_it_was_looked_up_often_enough() -> None:
    table = GrowingTable(rows=10, dim=2, std=1.0, admit_after=3)
    assert table.rows_of(*lookups(5, 5, 6)).tolist() == [1, 1, 1]
    table.eval()
    assert table.rows_of(*lookups(5)).tolist() == [1]
    table.train()
    assert table.rows_of(*lookups(5, 6)).tolist() == [2, 1]
    assert table.rows_of(*lookups(6)).tolist() == [3]


def test_an_id_that_was_not_used_for_long_is_new_again() -> None:
    table = GrowingTable(rows=10, dim=2, std=1.0, expire_after=1)
    table(*lookups(5))
    begun = table.weight[2].clone()
    with torch.no_grad():
        table.weight[2] += 1
    table.tick()
    table.eval()
    assert table.rows_of(*lookups(5)).tolist() == [2]
    table.tick()
    assert table.rows_of(*lookups(5)).tolist() == [1]
    table.train()
    assert table.rows_of(*lookups(5)).tolist() == [2]
    assert torch.equal(table.weight[2], begun)
    assert table.slots.counts["expired"] == 1


def test_a_full_table_gives_on_what_was_not_used_and_refuses_what_finds_no_room() -> None:
    table = GrowingTable(rows=2, dim=2, std=1.0)
    assert table.rows_of(*lookups(5, 6, 7)).tolist() == [2, 3, 1]
    assert table.slots.counts == {"refused": 1, "given_on": 0, "expired": 0}
    table.tick()
    assert table.rows_of(*lookups(6, 7)).tolist() == [3, 2]
    assert table.rows_of(*lookups(5)).tolist() == [1]
    assert table.slots.counts == {"refused": 2, "given_on": 1, "expired": 0}


def test_a_row_begins_as_its_id_and_table_say_whatever_came_before() -> None:
    torch.manual_seed(3)
    one = GrowingTable(rows=10, dim=3, std=0.5)
    torch.manual_seed(3)
    other = GrowingTable(rows=10, dim=3, std=0.5)
    one(*lookups(1, 2, -9))
    other(*lookups(-9, 4))
    assert torch.equal(one.weight[4], other.weight[2])
    assert torch.equal(one.weight[4], torch.tensor(slow_initial(one, -9), dtype=torch.float32))


def slow_initial(table: GrowingTable, one: int) -> list[float]:
    """The first values of an id's row, hashed number by number."""
    values, word, salt = [], 2**64 - 1, int(table.state_dict()["salt"])
    for column in range(1, table.dim + 1):
        x = (((one & word) ^ salt) + column * 0x9E3779B97F4A7C15) & word
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & word
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & word
        values.append(np.float32(x >> 40) / np.float32(1 << 23) - np.float32(1))
    return [float(value * np.float32(3**0.5 * table.std)) for value in values]


def test_initial_values_are_spread_as_asked() -> None:
    table = GrowingTable(rows=4000, dim=8, std=0.25)
    table(torch.arange(4000), torch.ones(4000, dtype=torch.bool))
    own = table.weight[2:].detach()
    assert own.std().item() == pytest.approx(0.25, rel=0.02)
    assert own.mean().item() == pytest.approx(0, abs=0.01)
    assert own.abs().max().item() <= 0.25 * 3**0.5


@dataclass
class Learned:
    """A row of the oracle, in double precision."""

    row: np.ndarray
    square_sum: float = 0.0


@pytest.mark.parametrize("admit_after", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_rows_learn_what_a_dictionary_of_rows_learns(seed: int, admit_after: int) -> None:
    rng = np.random.default_rng(seed)
    table = GrowingTable(rows=100, dim=3, std=0.5, admit_after=admit_after)
    adagrad = RowwiseAdagrad([table], rate=0.1, epsilon=1e-8)
    shared = table.weight[:2].detach().double().numpy()
    rows: dict[int | str, Learned] = {
        "missing": Learned(shared[0].copy()),
        "rare": Learned(shared[1].copy()),
    }
    sightings: dict[int, int] = {}
    for _ in range(20):
        ids = [int(one) if one >= 0 else None for one in rng.integers(-3, 30, size=12)]
        for one in ids:
            if one is not None:
                sightings[one] = sightings.get(one, 0) + 1
        keys = [
            "missing" if one is None else one if sightings[one] >= admit_after else "rare"
            for one in ids
        ]
        for key in keys:
            if isinstance(key, int) and key not in rows:
                rows[key] = Learned(np.array(slow_initial(table, key)))
        gradient = rng.normal(size=(12, 3))
        adagrad.zero_grad()
        looked_up = table(*lookups(*ids))
        expected = np.stack([rows[key].row for key in keys])
        np.testing.assert_allclose(looked_up.detach().numpy(), expected, atol=1e-5)
        (looked_up * torch.tensor(gradient, dtype=torch.float32)).sum().backward()
        adagrad.step()
        for key in set(keys):
            total = sum(g for g, own in zip(gradient, keys, strict=True) if own == key)
            learned = rows[key]
            learned.square_sum += float(np.mean(np.square(total)))
            learned.row = learned.row - 0.1 * total / (learned.square_sum**0.5 + 1e-8)


def trained(table: GrowingTable, steps: range, after: Callable[[], None] = lambda: None) -> None:
    """Some steps on ids that drift, so that rows are born, expire and are given on."""
    adagrad = RowwiseAdagrad([table], rate=0.1, epsilon=1e-8)
    for step in steps:
        rng = np.random.default_rng(step)
        ids = torch.from_numpy(rng.integers(step, step + 25, size=20))
        adagrad.zero_grad()
        (table(ids, ids % 7 != 0) * torch.from_numpy(rng.normal(size=(20, 4)))).sum().backward()
        adagrad.step()
        table.tick()
        after()


def small_table() -> GrowingTable:
    torch.manual_seed(1)
    return GrowingTable(rows=30, dim=4, std=0.1, admit_after=2, expire_after=3)


def test_a_restored_table_goes_on_as_if_it_had_never_stopped() -> None:
    whole, first = small_table(), small_table()
    trained(whole, range(40))
    trained(first, range(17))
    torch.manual_seed(2)
    second = GrowingTable(rows=30, dim=4, std=0.1, admit_after=2, expire_after=3)
    second.load_state_dict(first.state_dict())
    trained(second, range(17, 40))
    assert whole.slots.counts["given_on"] + whole.slots.counts["expired"] > 20
    assert_same(second.state_dict(), whole.state_dict())


def assert_same(received: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert received.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(received[name], tensor), name


def test_changes_one_after_another_make_the_state() -> None:
    table = small_table()
    parts = [table.changes()]

    def check() -> None:
        parts.append(table.changes())
        assert_same(dict(again_of(parts).state_dict()), dict(table.state_dict()))
        assert_same(GrowingTable.whole(parts), table.live())

    trained(table, range(30), check)
    assert table.slots.counts["given_on"] + table.slots.counts["expired"] > 20
    # The shared rows; one for each id looked up, and those found expired on the way.
    assert max(len(part["rows"]) for part in parts) <= 2 + 20 + 30
    assert len(table.changes()["rows"]) == 2
    # What was restored is as it was stored; what came by `load_state_dict` came from elsewhere.
    assert len(again_of(parts).changes()["rows"]) == 2
    loaded = small_table()
    loaded.load_state_dict(table.state_dict())
    assert len(loaded.changes()["rows"]) == table.size


def again_of(parts: list[dict[str, Tensor]]) -> GrowingTable:
    table = small_table()
    table.restore(parts)
    return table


def copied(live: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in live.items()}


@pytest.mark.parametrize("before_the_step", [True, False])
def test_what_is_read_of_a_table_while_it_changes_is_mended_by_its_changes(
    before_the_step: bool,
) -> None:
    """Half of what is stored is read early, the other half late; the changes make it one."""
    table = small_table()
    trained(table, range(10))
    table.changes()
    live = table.live()
    early = copied(live)
    trained(table, range(10, 14))
    late = copied(live)
    names = sorted(live)
    torn = {
        name: (early if (at % 2 == 0) == before_the_step else late)[name]
        for at, name in enumerate(names)
    }
    half = len(live["weight"]) // 2
    torn["weight"] = torch.cat([early["weight"][:half], late["weight"][half:]])
    again, parts = small_table(), [torn, table.changes()]
    again.restore(parts)
    assert_same(dict(again.state_dict()), dict(table.state_dict()))
    assert_same(GrowingTable.whole(parts), table.live())


def test_what_did_not_change_is_not_given_again() -> None:
    table = GrowingTable(rows=1000, dim=4, std=0.1, admit_after=2)
    there = torch.ones(900, dtype=torch.bool)
    table.rows_of(torch.arange(900), there)
    table.changes()
    table.rows_of(torch.tensor([5, 5, 901]), there[:3])
    changes = table.changes()
    assert changes["rows"].tolist() == [0, 1, 2]
    assert changes["ids"].tolist() == [5]
    assert len(changes["seen_ids"]) == 2


def test_a_fixed_table_gives_the_rows_that_the_optimiser_touched() -> None:
    torch.manual_seed(0)
    table, again = HashedTable(10, 3, 0.1), HashedTable(10, 3, 0.1)
    parts = [table.changes()]
    assert len(parts[0]["rows"]) == 11
    adagrad = RowwiseAdagrad([table], rate=0.1, epsilon=1e-8)
    for ids in ([3, 4], [4, 14], [9]):
        adagrad.zero_grad()
        table(torch.tensor(ids), torch.ones(len(ids), dtype=torch.bool)).sum().backward()
        adagrad.step()
        parts.append(table.changes())
    assert [part["rows"].tolist() for part in parts[1:]] == [[4, 5], [5], [10]]
    again.restore(parts)
    assert_same(dict(again.state_dict()), dict(table.state_dict()))
    assert_same(HashedTable.whole(parts), table.live())


def test_a_state_that_has_no_room_is_refused() -> None:
    table = GrowingTable(rows=10, dim=4, std=0.1)
    table(torch.arange(10), torch.ones(10, dtype=torch.bool))
    smaller = GrowingTable(rows=5, dim=4, std=0.1)
    with pytest.raises(RuntimeError, match="expected at most 7 rows of 4 numbers, received 12"):
        smaller.load_state_dict(table.state_dict())
    with pytest.raises(RuntimeError, match="Missing key.*salt"):
        smaller.load_state_dict({"weight": torch.zeros(2, 4)})
