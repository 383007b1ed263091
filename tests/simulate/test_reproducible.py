"""A world is a function of its file and its seed."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.simulate.words import word
from pipelines.simulate.world_file import scaled
from tests.simulate.conftest import Written, write


def test_the_same_seed_gives_the_same_bytes(tiny: Written, digests, tmp_path: Path) -> None:
    again = write(tiny.world, tmp_path / "again")
    assert digests(again.out) == digests(tiny.out)


def test_another_seed_gives_another_world(tiny: Written, digests, tmp_path: Path) -> None:
    other = write(scaled(tiny.world, seed=8), tmp_path / "other")
    mine, theirs = digests(tiny.out), digests(other.out)
    same = [name for name in mine if theirs.get(name) == mine[name]]
    assert same == ["truth/examination.parquet"]


def test_a_longer_world_begins_as_the_shorter_one(tiny: Written, tmp_path: Path) -> None:
    short = write(scaled(tiny.world, days=1), tmp_path / "short")
    for name in ("20250106T000000Z", "20250106T060000Z", "20250106T120000Z"):
        for stream in ("exposure", "click", "item"):
            part = f"events/{stream}/{name}.parquet"
            assert (short.out / part).read_bytes() == (tiny.out / part).read_bytes()


@pytest.mark.parametrize("file_format", ["jsonl", "avro"])
def test_every_format_holds_the_same_events(
    tiny: Written, tmp_path: Path, file_format: str
) -> None:
    short = scaled(tiny.world, days=1)
    parquet = write(short, tmp_path / "parquet")
    other = write(short, tmp_path / file_format, file_format=file_format)
    read = {"jsonl": pl.read_ndjson, "avro": pl.read_avro}[file_format]
    for stream in ("click", "retraction", "item"):
        files = sorted((other.out / "events" / stream).glob(f"*.{file_format}"))
        frame = pl.concat(read(file) for file in files)
        assert frame.equals(parquet.events(stream).select(frame.columns)), stream


def test_slices_of_another_length_keep_the_rates(tiny: Written, tmp_path: Path) -> None:
    hourly = write(replace(tiny.world, slice_ms=3_600_000), tmp_path / "hourly")
    counts = [len(one.truth("requests")) for one in (tiny, hourly)]
    assert abs(counts[0] - counts[1]) < 0.1 * counts[0]


def test_numbers_have_words_of_their_own() -> None:
    assert len({word(number) for number in range(50_000)}) == 50_000
