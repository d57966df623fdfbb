"""Sizes, rates and times as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membuf.cli.units import format_clock, format_rate, format_seconds, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1k", 1024),
        ("1K", 1024),
        ("64KiB", 65536),
        ("64kib", 65536),
        ("64 KiB", 65536),
        ("1M", 1 << 20),
        ("1.5MiB", 3 << 19),
        ("4kB", 4000),
        ("4KB", 4000),
        ("2MB", 2_000_000),
        ("1G", 1 << 30),
        ("3TiB", 3 << 40),
        ("1P", 1 << 50),
        ("7EiB", 7 << 60),
        ("0.5k", 512),
    ],
)
def test_sizes_with_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "K", "-1", "1Q", "1KiBs", "64 K iB", "1e3", "0x10", "1_000", "½K", "1,5M", "٣"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["1.5", "0.0001K", "1.0005kB"])
def test_a_size_is_whole(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_size(text)


@given(st.integers(0, 1 << 64))
def test_a_number_means_itself(number: int) -> None:
    assert parse_size(str(number)) == number


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (1536 << 20, "1.5 GiB"),
        (1 << 70, "1024.0 EiB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert format_size(count) == text


@given(st.integers(0, 1 << 60))
def test_a_shown_size_is_near_the_true_one(count: int) -> None:
    shown = format_size(count)
    assert abs(float(shown.split()[0]) * parse_size(f"1{shown.split()[1]}") - count) <= count / 19
    assert len(shown) <= len("1023.9 KiB")


def test_rates_and_times_for_people() -> None:
    assert format_rate(3 << 20, 2) == "1.5 MiB/s"
    assert format_rate(0, 0) == "0 B/s"
    assert format_seconds(0.25) == "0.250 s"
    assert format_seconds(12.345) == "12.35 s"
    assert format_seconds(61) == "1:01"
    assert format_clock(59.6) == "1:00"
    assert format_clock(36_000) == "10:00:00"
