"""Packets: what is written into a file is what travels as bytes."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines import packets

TABLES = {
    "words": pa.table({"word": pa.array(["a", "b", None, "a"]).dictionary_encode()}).slice(1),
    "none": pa.table({"number": pa.array([], pa.int64())}),
    "chunks": pa.concat_tables([pa.table({"n": np.arange(3)}), pa.table({"n": np.arange(5)})]),
}


def test_a_file_holds_the_bytes_of_the_packet(tmp_path: Path) -> None:
    packets.write(tmp_path / "state" / "one.tables", TABLES)
    assert (tmp_path / "state" / "one.tables").read_bytes() == packets.encode(TABLES)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["one.tables"]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    packets.write(tmp_path / "one.tables", TABLES)
    read = packets.read(tmp_path / "one.tables")
    assert list(read) == list(TABLES)
    assert all(read[name].equals(table) for name, table in TABLES.items())
