from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import UsageError
from matinee.sizes import parse_size_bytes, show_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1GB", 10**9),
        ("1GiB", 1 << 30),
        ("512MiB", 512 << 20),
        ("1.5 gb", 1_500_000_000),
        ("2k", 2000),
        (" 7 ", 7),
        ("3B", 3),
    ],
)
def test_sizes_that_people_write(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GB", "1XB", "-1GB", "1e9", "0", "0.1B", "1 GB 2"])
def test_what_is_no_size_is_said_with_its_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"--memory-limit .*expected a size like 1GB"):
        parse_size_bytes(text, "--memory-limit")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4_924_029, "4.9 MB"), (261_978_986, "262 MB"), (3e12, "3.0 TB")],
)
def test_sizes_are_shown_with_the_digits_that_matter(size_bytes: float, text: str) -> None:
    assert show_size(size_bytes) == text


@given(st.integers(1, 10**15))
def test_a_shown_size_is_near_what_it_shows(size_bytes: int) -> None:
    assert parse_size_bytes(show_size(size_bytes)) == pytest.approx(size_bytes, rel=0.06)
