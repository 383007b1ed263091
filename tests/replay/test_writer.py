"""Events as files: one content in three formats, nothing overwritten unasked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import fastavro
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.replay import writer
from pipelines.replay.avro import BLOCK_ROWS
from pipelines.replay.conform import event_table
from pipelines.replay.writer import DAY_MS, ROW_GROUP_ROWS, write_events
from schemas.errors import UserError
from schemas.events import avro_schema
from schemas.spec import Spec

if TYPE_CHECKING:
    from tests.replay.conftest import Replayed


def _clicks(spec: Spec, rows: int) -> pa.Table:
    """Clicks of one day; every third has no tag and every fifth names no request."""
    row = pl.int_range(rows, eager=True)
    text = row.cast(pl.String)
    frame = pl.DataFrame({"event_id": text, "user_id": text, "time_ms": row, "item_id": text})
    tags = pl.when(row % 3 > 0).then(pl.concat_list(pl.lit(text), pl.lit("é")))
    named = pl.when(row % 5 > 0).then(pl.lit(text))
    return event_table(spec, "click", frame.with_columns(tag=tags, request_id=named))


def test_the_three_formats_hold_the_same_rows(
    replay_official: "Callable[..., Replayed]",
) -> None:
    parquet = replay_official()
    expected = {
        name: parquet.table(name).to_pylist()
        for name in parquet.summary.counts
        if parquet.summary.counts[name]
    }
    assert len(expected["exposure"]) == 4
    jsonl = replay_official(file_format="jsonl", overwrite=True)
    for stream, rows in expected.items():
        lines = [line for file in jsonl.files(stream) for line in file.open(encoding="utf-8")]
        assert [json.loads(line) for line in lines] == rows
    avro = replay_official(file_format="avro", overwrite=True)
    for stream, rows in expected.items():
        found = [row for file in avro.files(stream) for row in fastavro.reader(file.open("rb"))]
        assert found == rows
    assert parquet.summary == jsonl.summary == avro.summary


def test_an_avro_file_of_several_blocks_has_the_schema_of_the_spec_and_every_row(
    tmp_path: Path, kuairand_spec: Spec
) -> None:
    table = _clicks(kuairand_spec, 2 * BLOCK_ROWS + 1)
    write_events([("click", table)], tmp_path / "out", kuairand_spec, file_format="avro")
    with (tmp_path / "out/click/1970-01-01.avro").open("rb") as file:
        reader = fastavro.reader(file)
        rows = list(reader)
    expected = fastavro.parse_schema(avro_schema(kuairand_spec, "click"))
    assert fastavro.schema.fingerprint(
        fastavro.schema.to_parsing_canonical_form(reader.writer_schema), "SHA-256"
    ) == fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(expected), "SHA-256")
    assert rows == table.to_pylist()


def test_a_day_above_the_limit_is_cut_into_row_groups(tmp_path: Path, kuairand_spec: Spec) -> None:
    table = _clicks(kuairand_spec, ROW_GROUP_ROWS + 1)
    write_events([("click", table)], tmp_path / "out", kuairand_spec)
    found = pq.ParquetFile(tmp_path / "out/click/1970-01-01.parquet").metadata
    assert [found.row_group(i).num_rows for i in range(2)] == [ROW_GROUP_ROWS, 1]


def test_a_file_holds_the_events_of_one_utc_day(tmp_path: Path, kuairand_spec: Spec) -> None:
    times = [DAY_MS - 1, DAY_MS, DAY_MS, 3 * DAY_MS]
    ids = [str(i) for i in range(4)]
    frame = pl.DataFrame({"event_id": ids, "user_id": ids, "time_ms": times, "item_id": ids})
    table = event_table(kuairand_spec, "click", frame)
    summary = write_events([("click", table)], tmp_path / "out", kuairand_spec)
    counts = {
        file.name: pl.read_parquet(file).height for file in (tmp_path / "out/click").iterdir()
    }
    assert counts == {"1970-01-01.parquet": 1, "1970-01-02.parquet": 2, "1970-01-04.parquet": 1}
    assert (summary.first_time_ms, summary.last_time_ms) == (DAY_MS - 1, 3 * DAY_MS)


def test_a_folder_that_holds_anything_is_refused(tmp_path: Path, kuairand_spec: Spec) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="expected an empty or new folder"):
        write_events([("click", _clicks(kuairand_spec, 1))], tmp_path, kuairand_spec)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_overwriting_leaves_no_earlier_event_and_every_other_file(
    tmp_path: Path, kuairand_spec: Spec
) -> None:
    for name in ("like/1999-01-01.avro", "click/.1970-01-01.parquet.tmp", "click/mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("earlier")
    clicks = [("click", _clicks(kuairand_spec, 1))]
    write_events(clicks, tmp_path, kuairand_spec, overwrite=True)
    found = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file())
    assert found == ["click/1970-01-01.parquet", "click/mine.txt"]


def test_a_file_that_cannot_be_finished_never_gets_its_name(
    tmp_path: Path, kuairand_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(table: pa.Table, file: Path, **options: object) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.pq, "write_table", fill_the_disk)
    with pytest.raises(UserError, match="No space left on device"):
        write_events([("click", _clicks(kuairand_spec, 1))], tmp_path / "out", kuairand_spec)
    assert [f.name for f in (tmp_path / "out/click").iterdir()] == [".1970-01-01.parquet.tmp"]


def test_an_unknown_format_is_told_to_the_user(tmp_path: Path, kuairand_spec: Spec) -> None:
    with pytest.raises(UserError, match="expected one of parquet, jsonl, avro, received 'csv'"):
        write_events([], tmp_path / "out", kuairand_spec, file_format="csv")  # type: ignore[arg-type]


def test_an_output_that_is_a_file_is_told_to_the_user(tmp_path: Path, kuairand_spec: Spec) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="expected a writable folder"):
        write_events([("click", _clicks(kuairand_spec, 1))], tmp_path / "out", kuairand_spec)
