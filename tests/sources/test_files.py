"""Files of every format, whole, growing and damaged."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.sources.files import FilesSource
from pipelines.sources.raw import JsonLines, Range, RawRows, SourceFile
from pipelines.validate import Validated, validate
from schemas.errors import UserError
from schemas.events import arrow_schema, avro_schema
from tests.validate.shop import ITEM, NOW_MS, SHOP

ROWS = [{**ITEM, "item_id": f"i{at}", "time_ms": at} for at in range(40)]


@pytest.fixture
def source(tmp_path: Path) -> FilesSource:
    (tmp_path / "item").mkdir()
    return FilesSource(tmp_path, SHOP)


def write(source: FilesSource, name: str, data: bytes) -> SourceFile:
    path = source.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return SourceFile(name.split("/", maxsplit=1)[0], name, len(data))


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(source: FilesSource, name: str, rows: list[dict[str, Any]] = ROWS) -> SourceFile:
    table = pa.Table.from_pylist(rows, schema=arrow_schema(SHOP, "item"))
    pq.write_table(table, source.root / name, row_group_size=10, write_page_checksum=True)
    return SourceFile("item", name, (source.root / name).stat().st_size)


def avro(source: FilesSource, name: str, codec: str = "null") -> SourceFile:
    schema = fastavro.parse_schema(avro_schema(SHOP, "item"))
    with (source.root / name).open("wb") as file:
        fastavro.writer(file, schema, ROWS, codec=codec, sync_interval=300, sync_marker=b"s" * 16)
    return SourceFile("item", name, (source.root / name).stat().st_size)


def ranges(
    source: FilesSource, file: SourceFile, max_rows: int = 12, final: bool = True
) -> list[Range]:
    return source.ranges(file, 0, max_rows, final)


def read(source: FilesSource, file: SourceFile, max_rows: int = 12) -> Iterator[Validated]:
    for one in ranges(source, file, max_rows):
        yield validate(SHOP, "item", source.read_range(one), NOW_MS, one.name)


def read_all(source: FilesSource, file: SourceFile) -> tuple[list[str], list[int], list[str]]:
    """Item ids, positions and reasons of dead letters of a whole file."""
    parts = list(read(source, file))
    events = pa.concat_tables([part.events for part in parts])
    dead = pa.concat_tables([part.dead_letters for part in parts])
    ids, positions = events["item_id"].to_pylist(), events["_position"].to_pylist()
    return ids, positions, dead["reason"].to_pylist()


def flipped(source: FilesSource, file: SourceFile, at: int) -> SourceFile:
    data = bytearray((source.root / file.name).read_bytes())
    data[at : at + 4] = bytes(byte ^ 0xFF for byte in data[at : at + 4])
    return write(source, file.name, bytes(data))


IDS = [row["item_id"] for row in ROWS]


def test_files_are_found_by_stream_and_name(source: FilesSource) -> None:
    for name in ("item/b.jsonl", "item/day=2/a.parquet", "click/z.avro", "item/a.ndjson.gz"):
        write(source, name, b"x")
    for name in ("item/.a.jsonl", "item/_SUCCESS", "item/c.jsonl.tmp", "item/_x/a.jsonl", "_y/a"):
        write(source, name, b"x")
    assert [(file.stream, file.name, file.size) for file in source.discover()] == [
        ("click", "click/z.avro", 1),
        ("item", "item/a.ndjson.gz", 1),
        ("item", "item/b.jsonl", 1),
        ("item", "item/day=2/a.parquet", 1),
    ]


def test_a_root_without_streams_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder for each stream .*exposure.*none"):
        FilesSource(tmp_path, SHOP).discover()
    with pytest.raises(UserError, match="missing: expected a folder with a folder for each stream"):
        FilesSource(tmp_path / "missing", SHOP).discover()


def test_a_folder_that_is_no_stream_is_refused_with_a_near_match(source: FilesSource) -> None:
    write(source, "clicks/a.jsonl", b"")
    with pytest.raises(UserError, match=r"received 'clicks' \(did you mean 'click'\?\)"):
        source.discover()


def test_event_files_outside_of_a_stream_are_refused(source: FilesSource) -> None:
    write(source, "item.jsonl", b"")
    with pytest.raises(UserError, match="in a folder named after their stream"):
        source.discover()


def test_a_file_of_no_known_format_is_refused(source: FilesSource) -> None:
    file = write(source, "item/a.csv", b"x")
    with pytest.raises(UserError, match=r"a\.csv: expected a file ending in \.jsonl"):
        ranges(source, file)


def test_json_lines_are_cut_at_line_ends(source: FilesSource) -> None:
    file = write(source, "item/a.jsonl", lines(ROWS))
    cut = ranges(source, file)
    assert [one.start for one in cut] == [0, *(one.stop for one in cut[:-1])]
    assert cut[-1].stop == file.size
    assert len(cut) == 4
    assert abs(sum(one.rows_estimate for one in cut) - 40) <= 2
    for one in cut:
        content = source.read_range(one).content
        assert isinstance(content, JsonLines) and content.data.endswith(b"\n")
    ids, positions, reasons = read_all(source, file)
    assert (ids, reasons) == (IDS, [])
    assert positions[:2] == [0, len(lines(ROWS[:1]))]


def test_of_a_growing_file_only_complete_lines_are_read(source: FilesSource) -> None:
    whole = lines(ROWS[:2])
    file = write(source, "item/a.jsonl", whole + b'{"item')
    assert [(one.start, one.stop) for one in ranges(source, file, 9, final=False)] == [
        (0, len(whole))
    ]
    assert source.ranges(file, len(whole), 9) == []
    file = write(source, "item/a.jsonl", lines(ROWS[:3]) + b"{")
    [grown] = source.ranges(file, len(whole), 9)
    assert source.read_range(grown) == RawRows(
        JsonLines(lines(ROWS[2:3]), len(whole)), source.read_range(grown).dead_letters
    )
    [rest] = source.ranges(file, grown.stop, 9, final=True)
    assert (rest.start, rest.stop) == (grown.stop, file.size)


def test_the_last_line_of_a_final_file_needs_no_newline(source: FilesSource) -> None:
    file = write(source, "item/a.jsonl", lines(ROWS)[:-1])
    assert read_all(source, file)[0] == IDS


def test_lines_longer_than_a_chunk_stay_whole(source: FilesSource) -> None:
    rows = [{**row, "title": "x" * 200_000} for row in ROWS[:3]]
    file = write(source, "item/a.jsonl", lines(rows))
    assert [one.stop - one.start for one in ranges(source, file, 1)] == [
        len(lines([row])) for row in rows
    ]
    write(source, "item/a.jsonl", lines(rows)[:-1])
    assert ranges(source, file, 9, final=False)[-1].stop == len(lines(rows[:2]))


def test_a_file_that_shrinks_is_refused(source: FilesSource) -> None:
    file = write(source, "item/a.jsonl", b"{}\n")
    with pytest.raises(UserError, match=r"only grows, received 3 bytes where 4 were read before"):
        source.ranges(file, 4, 9)


def test_a_range_that_is_no_longer_there_is_reported(source: FilesSource) -> None:
    file = write(source, "item/a.jsonl", lines(ROWS))
    [one] = ranges(source, file, 99)
    write(source, "item/a.jsonl", lines(ROWS[:1]))
    assert source.read_range(one).dead_letters["reason"].to_pylist() == ["truncated"]


def test_an_empty_file_has_no_ranges(source: FilesSource) -> None:
    assert ranges(source, write(source, "item/a.jsonl", b"")) == []


def test_a_zipped_file_is_one_range(source: FilesSource) -> None:
    data = gzip.compress(lines(ROWS[:20])) + gzip.compress(lines(ROWS[20:])[:-1])
    file = write(source, "item/a.jsonl.gz", data)
    [one] = ranges(source, file)
    assert read_all(source, file)[0] == IDS
    assert source.ranges(file, one.stop, 12, final=True) == []


def test_of_a_zipped_file_that_ends_early_complete_lines_are_kept(source: FilesSource) -> None:
    data = gzip.compress(lines(ROWS * 100), mtime=0)
    file = write(source, "item/a.jsonl.gz", data[: len(data) // 2])
    [checked] = read(source, file)
    assert 100 < checked.counts["accepted"] < 4000
    assert checked.counts["truncated"] == 1
    last = json.loads(lines(ROWS * 100).splitlines()[checked.counts["accepted"] - 1])
    assert checked.events["item_id"][-1].as_py() == last["item_id"]


def test_a_zipped_file_that_is_none_or_is_damaged_is_unreadable(source: FilesSource) -> None:
    assert read_all(source, write(source, "item/a.jsonl.gz", b"plain")) == (
        [],
        [],
        ["unreadable_file"],
    )
    data = gzip.compress(lines(ROWS), mtime=0)
    damaged = data[:-8] + b"\0\0\0\0" + data[-4:]
    assert read_all(source, write(source, "item/b.jsonl.gz", damaged))[2] == ["unreadable_file"]


def test_parquet_is_cut_at_row_groups(source: FilesSource) -> None:
    file = parquet(source, "item/a.parquet")
    cut = [
        (one.start, one.stop, one.rows_estimate, one.first_position)
        for one in ranges(source, file, 20)
    ]
    assert cut == [(0, 2, 20, 0), (2, 4, 20, 20)]
    assert read_all(source, file) == (IDS, list(range(40)), [])
    assert source.ranges(file, 4, 20) == []
    assert [one.start for one in source.ranges(file, 3, 20)] == [3]


def test_a_damaged_row_group_costs_only_itself(source: FilesSource) -> None:
    file = parquet(source, "item/a.parquet")
    column = pq.read_metadata(source.root / file.name).row_group(1).column(0)
    file = flipped(source, file, column.data_page_offset + column.total_compressed_size // 2)
    [checked] = read(source, file, 99)
    assert checked.events["_position"].to_pylist() == [*range(10), *range(20, 40)]
    letters = checked.dead_letters.select(["position", "reason"]).to_pylist()
    assert letters == [{"position": 10, "reason": "unreadable_file"}]


@pytest.mark.parametrize(
    ("kept", "reason"), [(0, "truncated"), (3, "truncated"), (300, "truncated")]
)
def test_a_parquet_file_that_ends_early_is_truncated(
    source: FilesSource, kept: int, reason: str
) -> None:
    data = (source.root / parquet(source, "item/a.parquet").name).read_bytes()
    file = write(source, "item/a.parquet", data[:kept])
    assert read_all(source, file)[2] == [reason]
    [one] = ranges(source, file)
    assert source.ranges(file, one.stop, 12) == []


@pytest.mark.parametrize("suffix", ["parquet", "avro"])
def test_a_file_of_another_format_is_unreadable(source: FilesSource, suffix: str) -> None:
    file = write(source, f"item/a.{suffix}", b"GIF89a" * 20)
    [checked] = read(source, file)
    assert checked.counts == {"read": 1, "accepted": 0, "unreadable_file": 1}
    assert checked.dead_letters["raw"].to_pylist() == [b"GIF89a" * 20]
    [one] = ranges(source, file)
    assert source.ranges(file, one.stop, 12) == []


def test_rows_without_any_declared_column_are_dead_letters(source: FilesSource) -> None:
    pq.write_table(pa.table({"x": [1, 2, 3]}), source.root / "item/a.parquet")
    file = SourceFile("item", "item/a.parquet", 1)
    assert read_all(source, file) == ([], [], ["missing_field"] * 3)


@pytest.mark.parametrize("codec", ["null", "deflate", "zstandard", "snappy", "bzip2", "xz"])
def test_avro_is_cut_at_blocks(source: FilesSource, codec: str) -> None:
    file = avro(source, "item/a.avro", codec)
    cut = ranges(source, file, 12)
    assert len(cut) > 2
    assert [one.start for one in cut[1:]] == [one.stop for one in cut[:-1]]
    assert sum(one.rows_estimate for one in cut) == 40
    assert read_all(source, file) == (IDS, list(range(40)), [])
    assert source.ranges(file, cut[-1].stop, 12) == []
    assert source.ranges(file, cut[1].start, 12) == cut[1:]


def test_avro_with_types_that_no_event_has_is_read_all_the_same(source: FilesSource) -> None:
    fields = [
        {"name": "item_id", "type": ["string", "null"]},
        {"name": "time_ms", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "color", "type": {"type": "enum", "name": "colors", "symbols": ["red", "blue"]}},
        {"name": "tags", "type": ["null", {"type": "array", "items": ["null", "string"]}]},
    ]
    row = {"item_id": "a", "time_ms": 7_999, "color": "blue", "tags": ["x"], "more": {"k": 1}}
    odd = {"name": "more", "type": {"type": "map", "values": ["int", "string"]}}
    for name, extra in (("plain", []), ("odd", [odd])):
        schema = {"type": "record", "name": "item", "fields": [*fields, *extra]}
        with (source.root / f"item/{name}.avro").open("wb") as file:
            fastavro.writer(file, fastavro.parse_schema(schema), [row])
        [checked] = read(source, SourceFile("item", f"item/{name}.avro", 1))
        assert checked.events.select(["item_id", "time_ms", "color", "tags"]).to_pylist() == [
            {"item_id": "a", "time_ms": 7, "color": "blue", "tags": ["x"]}
        ]


def test_a_damaged_avro_block_costs_only_itself(source: FilesSource) -> None:
    file = avro(source, "item/a.avro")
    [_, second, *rest] = ranges(source, file, 1)
    file = flipped(source, file, second.start)
    ids, positions, reasons = read_all(source, file)
    lost = second.rows_estimate
    assert ids == IDS[: second.first_position] + IDS[second.first_position + lost :]
    assert reasons == ["unreadable_file"]
    assert len(rest) == 2 and len(set(positions)) == len(positions) == 40 - lost


def test_an_avro_block_whose_rows_cannot_be_decoded_costs_only_itself(source: FilesSource) -> None:
    file = avro(source, "item/a.avro", "deflate")
    second = ranges(source, file, 1)[1]
    file = flipped(source, file, second.start + 8)
    ids, positions, reasons = read_all(source, file)
    after = second.first_position + second.rows_estimate
    assert ids == IDS[: second.first_position] + IDS[after:]
    assert positions == [*range(second.first_position), *range(after, 40)]
    assert reasons == ["unreadable_file"]


def test_of_an_avro_file_that_ends_early_whole_blocks_are_kept(source: FilesSource) -> None:
    file = avro(source, "item/a.avro")
    data = (source.root / file.name).read_bytes()
    last = ranges(source, file, 1)[-1]
    file = write(source, "item/a.avro", data[: file.size - 20])
    assert read_all(source, file) == (
        IDS[: last.first_position],
        list(range(last.first_position)),
        ["truncated"],
    )
    assert read_all(source, write(source, "item/b.avro", data[:30]))[2] == ["truncated"]
    assert read_all(source, write(source, "item/b.avro", b""))[2] == ["truncated"]


def test_any_flipped_byte_of_avro_or_parquet_is_survived(source: FilesSource) -> None:
    for make, name in ((avro, "item/a.avro"), (parquet, "item/a.parquet")):
        whole = (source.root / make(source, name).name).read_bytes()
        for at in range(0, len(whole), 37):
            (source.root / name).write_bytes(whole)
            for checked in read(source, flipped(source, SourceFile("item", name, len(whole)), at)):
                assert checked.counts["read"] == len(checked.events) + len(checked.dead_letters)
