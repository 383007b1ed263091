"""Tables in checkpoints: changed rows only, one after another, all of them now and then."""

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from learner import tensors
from learner.checkpoint import COMMIT, Checkpoints, Snapshot
from learner.writer import Writer
from models.rowwise import RowwiseAdagrad
from models.tables import GrowingTable
from schemas.errors import UserError
from tests.full_disk import files_of_at_most
from tests.learner.runs import assert_same_tensors


def new_table() -> GrowingTable:
    torch.manual_seed(0)
    return GrowingTable(rows=50, dim=4, std=0.1, admit_after=2, expire_after=20)


class Learning:
    """A table that learns of ids that drift, and its checkpoints."""

    def __init__(self, folder: Path, whole_every: int = 3, keep: int = 2) -> None:
        self.table = new_table()
        self.adagrad = RowwiseAdagrad([self.table], rate=0.1, epsilon=1e-8)
        self.checkpoints = Checkpoints(folder, keep, whole_every)
        self.steps = 0
        self.stood: dict[str, Tensor] = {}
        """The table as it was at the last checkpoint."""

    def learn(self, steps: int = 3) -> None:
        for _ in range(steps):
            ids = torch.randint(self.steps, self.steps + 40, (12,))
            self.adagrad.zero_grad()
            self.table(ids, ids % 5 != 0).square().sum().backward()
            self.adagrad.step()
            self.table.tick()
            self.steps += 1

    def save(self) -> Path:
        """A checkpoint; training goes on before all rows are written, if they are."""
        self.stood = {name: one.clone() for name, one in self.table.state_dict().items()}
        whole, live = self.checkpoints.wants_whole, self.table.live()
        path = self.checkpoints.save(Snapshot({}, {"at": self.steps}, [[self.table.changes()]]))
        if whole:
            self.learn()
            self.checkpoints.save_whole([live])
        return path


def assert_holds(saved: Snapshot | None, expected: dict[str, Tensor]) -> None:
    assert saved is not None
    table = new_table()
    table.restore(saved.rows[0])
    assert_same_tensors(table.state_dict(), expected)


def test_every_checkpoint_holds_the_table_as_it_was(tmp_path: Path) -> None:
    learning, wholes = Learning(tmp_path), set()
    for _ in range(14):
        learning.learn()
        learning.save()
        assert_holds(Checkpoints(tmp_path).newest(), learning.stood)
        wholes.update(name for name in learning.checkpoints.chain if name.endswith("-rows"))
        assert len(learning.checkpoints.chain) <= 3 + 2
    assert len(wholes) >= 2


def test_a_learner_that_goes_on_writes_on_what_it_was_given(tmp_path: Path) -> None:
    first = Learning(tmp_path)
    for _ in range(2):
        first.learn()
        first.save()
    second = Learning(tmp_path)
    saved = second.checkpoints.newest()
    assert saved is not None
    second.table.restore(saved.rows[0])
    assert second.checkpoints.chain == ("0000000001", "0000000002")
    second.steps = first.steps
    second.learn(1)
    path = second.save()
    assert len(tensors.load(path / "rows-00.safetensors")["rows"]) <= 2 + 12 + 20
    assert second.checkpoints.chain == ("0000000001", "0000000002", "0000000003")
    assert_holds(Checkpoints(tmp_path).newest(), second.stood)


def test_the_rows_at_a_snapshot_are_those_of_the_table_before_it_is_saved(tmp_path: Path) -> None:
    learning, wholes = Learning(tmp_path), 0
    for _ in range(9):
        learning.learn()
        stood = {name: one.clone() for name, one in learning.table.live().items()}
        snapshot = Snapshot({}, {}, [[learning.table.changes()]])
        [parts] = learning.checkpoints.rows_at(snapshot)
        wholes += "rows" not in parts[0]
        whole, live = learning.checkpoints.wants_whole, learning.table.live()
        learning.checkpoints.save(snapshot)
        learning.learn()
        assert_same_tensors(GrowingTable.whole(parts), stood)
        if whole:
            learning.checkpoints.save_whole([live])
    assert wholes >= 2


def test_rows_that_were_damaged_meanwhile_are_not_made_a_version_of(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    learning.learn()
    path = learning.save() / "rows-00.safetensors"
    path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    learning.learn()
    with pytest.raises(UserError, match="expected the rows of tables as they were written"):
        learning.checkpoints.rows_at(Snapshot({}, {}, [[learning.table.changes()]]))


def test_what_no_kept_checkpoint_needs_is_removed(tmp_path: Path) -> None:
    learning = Learning(tmp_path, whole_every=2, keep=1)
    for _ in range(9):
        learning.learn()
        learning.save()
        names = {path.name for path in tmp_path.iterdir()}
        pending = {name for name in names if name.endswith("-rows")}
        assert names - pending <= set(learning.checkpoints.chain)
        assert set(learning.checkpoints.chain) <= names


@pytest.mark.parametrize("file", ["rows-00.safetensors", COMMIT])
def test_damaged_rows_that_checkpoints_build_on_take_these_with_them(
    tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    learning = Learning(tmp_path, whole_every=2, keep=3)
    kept = []
    while not learning.checkpoints.chain or not learning.checkpoints.chain[0].endswith("-rows"):
        kept.append(learning.stood)
        learning.learn()
        learning.save()
    path = tmp_path / learning.checkpoints.chain[0] / file
    path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    assert_holds(Checkpoints(tmp_path).newest(), kept[-1])
    assert "checkpoint damaged, trying the one before it" in caplog.text


def test_all_rows_without_the_changes_since_are_no_checkpoint(tmp_path: Path) -> None:
    learning = Learning(tmp_path, whole_every=0)
    for _ in range(2):
        learning.learn()
        learning.save()
    assert (tmp_path / "0000000002-rows" / COMMIT).exists()
    again = Checkpoints(tmp_path)
    assert_holds(again.newest(), learning.stood)
    assert again.chain == ("0000000001", "0000000002")


def test_training_goes_on_while_a_checkpoint_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, save = threading.Event(), tensors.save

    def slow(path: Path, part: dict[str, Tensor]) -> None:
        assert may_write.wait(30)
        save(path, part)

    monkeypatch.setattr(tensors, "save", slow)
    learning = Learning(tmp_path)
    learning.learn()
    stood = {name: one.clone() for name, one in learning.table.state_dict().items()}
    with Writer(learning.checkpoints) as writer:
        writer.write(Snapshot({}, {}, [[learning.table.changes()]]), [learning.table.live()])
        learning.learn()
        assert writer.busy
        assert Checkpoints(tmp_path).newest() is None
        may_write.set()
        writer.wait()
        assert not writer.busy
    assert_holds(Checkpoints(tmp_path).newest(), stood)


def test_a_disk_that_is_full_is_told_once_and_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    learning = Learning(tmp_path)
    learning.learn()
    learning.save()
    learning.learn()
    with Writer(learning.checkpoints) as writer:
        with files_of_at_most(100):
            writer.write(Snapshot({}, {}, [[learning.table.changes()]]), [learning.table.live()])
            with pytest.raises(UserError, match="expected room for a checkpoint, received"):
                writer.wait()
        writer.wait()
    assert_holds(Checkpoints(tmp_path).newest(), learning.stood)
