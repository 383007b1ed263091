import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.durations import format_duration_ms, parse_duration_ms


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0s", 0),
        ("250ms", 250),
        ("90s", 90_000),
        ("1.5m", 90_000),
        ("6h", 21_600_000),
        ("1d", 86_400_000),
        ("2w", 1_209_600_000),
        (" 6 h ", 21_600_000),
        ("0.29h", 1_044_000),
        ("0.07d", 6_048_000),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "6", "h", "6 hours", "-1s", "1e3s", "1h30m", "6H", "٣s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number and a unit"):
        parse_duration_ms(text)


def test_a_fraction_of_a_millisecond_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected whole milliseconds, received '1\.0005s'"):
        parse_duration_ms("1.0005s")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (1, "1ms"), (90_000, "90s"), (3_600_000, "1h"), (86_400_000, "1d")],
)
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(
    milliseconds: int, text: str
) -> None:
    assert format_duration_ms(milliseconds) == text


def test_a_negative_duration_has_no_text() -> None:
    with pytest.raises(ValueError, match="received -1000"):
        format_duration_ms(-1000)


@given(st.integers(0, 2**53))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    assert parse_duration_ms(format_duration_ms(milliseconds)) == milliseconds
