"""Where a range begins in time: told from the file, or unknown, which is before everything."""

import json
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sources.first_time import UNKNOWN, first_time_ms
from pipelines.sources.raw import Range


def span(name: str, start: int = 0, stop: int = 1) -> Range:
    return Range("click", name, start, stop, 1, 0)


def test_a_parquet_range_begins_at_the_lowest_time_of_its_row_group(tmp_path: Path) -> None:
    table = pa.table({"event_id": ["a", "b", "c"], "time_ms": [5, 7, 9]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    assert first_time_ms(tmp_path, span("a.parquet")) == 5
    assert first_time_ms(tmp_path, span("a.parquet", 1, 2)) == 9


def test_json_lines_begin_with_the_line_at_the_offset(tmp_path: Path) -> None:
    lines = [json.dumps({"time_ms": time_ms}) + "\n" for time_ms in (11, 12)]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    assert first_time_ms(tmp_path, span("a.jsonl")) == 11
    assert first_time_ms(tmp_path, span("a.jsonl", len(lines[0]))) == 12


def test_an_avro_file_begins_with_its_first_record(tmp_path: Path) -> None:
    schema = {"type": "record", "name": "e", "fields": [{"name": "time_ms", "type": "long"}]}
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"time_ms": 3}, {"time_ms": 4}])
    assert first_time_ms(tmp_path, span("a.avro")) == 3


def test_what_cannot_be_told_is_before_everything(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "bad.jsonl").write_bytes(b"{no\n")
    (tmp_path / "bad.avro").write_bytes(b"Obj?")
    names = ("bad.parquet", "bad.jsonl", "bad.avro", "a.jsonl.gz", "missing.parquet")
    assert [first_time_ms(tmp_path, span(name)) for name in names] == [UNKNOWN] * 5
