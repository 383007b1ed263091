"""Fixed vectors come from the `xxhsum -H3` program of the XXH3 reference implementation."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.hashing import hash_nullable, hash_one, hash_strings, shard_of

VECTORS = [
    (("",), 0x2D06800538D394C2),
    (("a",), 0xE6C632B61E964E1F),
    (("abc",), 0x78AF5F94892F3950),
    (("42",), 0x1217CB28C0EF2191),
    (("é",), 0xF7940A006CF10CB3),
    (("视频",), 0x1970079BB8CC224C),
    (("x" * 17,), 0x89975E6B7D2F5A11),
    (("x" * 129,), 0xE4F9742108FE27DC),
    (("x" * 240,), 0x3E16CA8A0C6CCB68),
    (("x" * 241,), 0x14DA9E5C301A6A1D),
    (("x" * 1025,), 0x9CD2E05A61B8A761),
    (("user_1", "item_1"), 0x73296AD90B89CE1A),
    (("u", "", "q"), 0x1A735A20011D881A),
]
"""Parts and the unsigned XXH3-64 of their UTF-8 joined by a zero byte."""


def signed(unsigned: int) -> int:
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


@pytest.mark.parametrize(("parts", "unsigned"), VECTORS)
def test_one_value_hashes_to_the_reference_implementations_value(
    parts: tuple[str, ...], unsigned: int
) -> None:
    assert hash_one(*parts) == signed(unsigned)


@pytest.mark.parametrize(("parts", "unsigned"), VECTORS)
def test_columns_hash_to_the_reference_implementations_value(
    parts: tuple[str, ...], unsigned: int
) -> None:
    columns = [pa.array([part, "another row"]) for part in parts]
    hashes = hash_strings(*columns)
    assert hashes.dtype == np.int64
    assert hashes[0] == signed(unsigned)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=20))
def test_columns_and_single_values_agree(rows: list[tuple[str, str]]) -> None:
    left, right = (pa.array([row[side] for row in rows], pa.string()) for side in (0, 1))
    assert hash_strings(left, right).tolist() == [hash_one(*row) for row in rows]


def test_where_one_part_ends_and_the_next_begins_matters() -> None:
    assert len({hash_one("ab", "c"), hash_one("a", "bc"), hash_one("abc")}) == 3


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["a"], ["é", "a"]]),
        pa.array(["z", "a", "é", "a"]).slice(1),
        pa.array(["a", "é", "a"]).dictionary_encode(),
        pa.array(["z", "a", "é", "a"]).dictionary_encode().slice(1),
        pa.chunked_array([pa.array(part).dictionary_encode() for part in (["a"], ["é", "a"])]),
        pa.array(["a", "é", "a"], pa.large_string()),
    ],
    ids=["chunks", "slice", "dictionary", "sliced_dictionary", "dictionaries", "large"],
)
def test_how_a_column_is_laid_out_changes_nothing(column: pa.Array) -> None:
    a, e = hash_one("a"), hash_one("é")
    assert hash_strings(column).tolist() == [a, e, a]


def test_an_empty_column_has_no_hashes() -> None:
    assert hash_strings(pa.array([], pa.string())).shape == (0,)


def test_a_null_part_counts_as_empty_text() -> None:
    null = pa.array([None], pa.string())
    assert hash_strings(null).tolist() == [hash_one("")]
    assert hash_strings(null.dictionary_encode()).tolist() == [hash_one("")]
    assert hash_strings(pa.array(["u"]), null).tolist() == [hash_one("u", "")]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("words", [False, True])
def test_nullable_hashes_keep_nulls(chunked: bool, words: bool) -> None:
    column = pa.array(["a", None, ""])
    column = column.dictionary_encode() if words else column
    hashed = hash_nullable(pa.chunked_array([column]) if chunked else column)
    assert hashed.type == pa.int64()
    assert hashed.to_pylist() == [hash_one("a"), None, hash_one("")]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(pa.ArrowInvalid, match="same length"):
        hash_strings(pa.array(["a"]), pa.array(["a", "b"]))


def test_another_process_with_another_seed_finds_the_same_hashes() -> None:
    code = (
        "import pyarrow as pa; from schemas.hashing import hash_strings;"
        "print(hash_strings(pa.array(['a', 'é']), pa.array(['b', ''])).tolist())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert answers == {str([hash_one("a", "b"), hash_one("é", "")])}


def test_a_shard_is_the_unsigned_hash_modulo_the_number_of_shards() -> None:
    hashes = np.array([0, 15, 16, -1, -(2**63), 2**63 - 1], np.int64)
    # Unsigned: -1 is 2^64 - 1, 15 mod 16 and 0 mod 3; -2^63 is 2^63, 0 mod 16 and 2 mod 3.
    assert shard_of(hashes, 16).tolist() == [0, 15, 0, 15, 0, 15]
    assert shard_of(hashes, 3).tolist() == [0, 0, 1, 0, 2, 1]
    assert shard_of(hashes, 1).tolist() == [0] * 6


def test_ids_keep_their_shards() -> None:
    hashes = hash_strings(pa.array(["", "a", "abc", "42", "é"]))
    # The last hexadecimal digit of each vector above.
    assert shard_of(hashes, 16).tolist() == [0x2, 0xF, 0x0, 0x1, 0x3]
