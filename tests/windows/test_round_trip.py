"""What is written is what is read, by this store and by any Avro reader."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.durable import sha256_of
from schemas.errors import StoreError
from schemas.record import revision_schema, user_window_schema
from schemas.windows import WindowStore, write, write_shard
from tests.windows.records import (
    SPEC,
    START_MS,
    in_shard_order,
    revision,
    seal_window,
    user_tables,
    users_table,
    window_rows,
)


@settings(max_examples=30, deadline=None)
@given(table=user_tables(), batch_users=st.integers(1, 6), skip=st.integers(0, 6))
def test_any_records_come_back_as_they_were(table: pa.Table, batch_users: int, skip: int) -> None:
    if table.num_rows == 0:
        return
    with tempfile.TemporaryDirectory() as name:
        seal_window(Path(name), table.to_pylist())
        store = WindowStore(Path(name))
        batches = list(store.read_users(START_MS, SPEC, None, batch_users, skip))
    expected = in_shard_order(table.to_pylist())[skip:]
    assert [row for batch in batches for row in batch.to_pylist()] == expected
    assert all(batch.schema == user_window_schema(SPEC) for batch in batches)
    assert [batch.num_rows for batch in batches[:-1]] == [batch_users] * (len(batches) - 1)


@settings(max_examples=20, deadline=None)
@given(table=user_tables())
def test_fastavro_reads_the_same_records(table: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as name:
        entry = write_shard(Path(name), 0, table, SPEC)
        if table.num_rows == 0:
            assert (entry.records, list(Path(name).iterdir())) == (0, [])
            return
        with (Path(name) / entry.name).open("rb") as file:
            assert list(fastavro.reader(file)) == table.to_pylist()


def test_fastavro_reads_revisions_too(tmp_path: Path) -> None:
    rows = [revision("käufer-00001", START_MS - 3_600_000, item) for item in ("i0", "i1")]
    seal_window(tmp_path, window_rows(4), rows, shards=1)
    table = WindowStore(tmp_path).read_revisions(START_MS)
    assert table.to_pylist() == rows
    assert table.schema == revision_schema()
    with (WindowStore(tmp_path).folder(START_MS) / "revisions-00000.avro").open("rb") as file:
        assert list(fastavro.reader(file)) == rows


def test_a_window_without_revisions_has_an_empty_table_of_them(tmp_path: Path) -> None:
    seal_window(tmp_path, window_rows(4))
    assert WindowStore(tmp_path).read_revisions(START_MS).equals(revision_schema().empty_table())


def test_every_user_is_found_by_hash_whatever_the_block(tmp_path: Path) -> None:
    rows = window_rows(600)
    manifest = seal_window(tmp_path, rows, shards=1)
    store = WindowStore(tmp_path)
    found = [store.read_user(START_MS, row["user"], SPEC) for row in rows[::7]]
    assert [batch.to_pylist()[0] for batch in found if batch is not None] == rows[::7]
    assert store.read_user(START_MS, 12345) is None
    assert manifest.files[0].records == 600


def test_blocks_end_where_slices_do_and_records_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "SLICE_RECORDS", 7)
    rows = window_rows(30)
    seal_window(tmp_path, rows, shards=1)
    store = WindowStore(tmp_path)
    read = [row for batch in store.read_users(START_MS, SPEC) for row in batch.to_pylist()]
    assert read == rows
    last = store.read_user(START_MS, rows[29]["user"])
    assert last is not None
    assert last.to_pylist() == rows[29:]


def test_only_the_columns_that_were_asked_for_come(tmp_path: Path) -> None:
    seal_window(tmp_path, window_rows(5))
    read = WindowStore(tmp_path).read_users(START_MS, SPEC, ["user", "requests"])
    assert [batch.schema.names for batch in read] == [["user", "requests"]]


def test_chunks_and_slices_of_the_table_do_not_show_in_the_bytes(tmp_path: Path) -> None:
    rows = window_rows(20)
    whole = users_table(rows)
    parts = [users_table(rows[:3]), users_table(rows[3:11]), users_table(rows[11:])]
    sliced = users_table([*window_rows(6, seed=9), *rows, *window_rows(2, seed=8)]).slice(6, 20)
    tables = [whole, pa.concat_tables(parts), sliced, whole.to_batches()[0]]
    entries = [
        write_shard(tmp_path / str(number), 0, table, SPEC) for number, table in enumerate(tables)
    ]
    assert len({(entry.sha256, entry.index.sha256) for entry in entries if entry.index}) == 1


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.windows.records import *;"
        "seal_window(Path(sys.argv[1]), window_rows(40), [revision('käufer-00001', 0)])"
    )
    for number, name in enumerate(("one", "two")):
        environment = {**os.environ, "PYTHONHASHSEED": str(number + 1)}
        command = [sys.executable, "-c", code, str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True, cwd=Path(__file__).parents[2])
    seal_window(tmp_path / "here", window_rows(40), [revision("käufer-00001", 0)])
    found = [_digests(tmp_path / name) for name in ("one", "two", "here")]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 10


def _digests(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): sha256_of(path) for path in root.rglob("*.*")}


def test_records_of_another_schema_are_refused(tmp_path: Path) -> None:
    table = users_table(window_rows(2))
    with pytest.raises(StoreError, match="expected the fields"):
        write_shard(tmp_path, 0, table.drop_columns(["recent"]), SPEC)
    with pytest.raises(StoreError, match="sorted by the bytes of their ids"):
        write_shard(tmp_path, 0, table.take([1, 0]), SPEC)
    nulled = table.set_column(1, "user", pa.array([None, 1], pa.int64()))
    with pytest.raises(StoreError, match="null"):
        write_shard(tmp_path, 0, nulled, SPEC)
    assert list(tmp_path.iterdir()) == []


def test_a_null_deep_in_a_required_array_is_refused(tmp_path: Path) -> None:
    rows = window_rows(3)
    for row in rows:
        row["requests"][0]["candidates"]["labels"]["click"]["open"] = [None]
    lenient = pa.schema([_nullable(field) for field in user_window_schema(SPEC)])
    with pytest.raises(StoreError, match=r"shard-00000\.avro.*null"):
        write_shard(tmp_path, 0, pa.Table.from_pylist(rows, lenient), SPEC)
    assert list(tmp_path.iterdir()) == []


def _nullable(field: pa.Field) -> pa.Field:
    """The field, and all that is in it, with nulls allowed."""
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_nullable(child) for child in kind])
    elif pa.types.is_list(kind):
        kind = pa.list_(_nullable(kind.value_field))
    return pa.field(field.name, kind)
