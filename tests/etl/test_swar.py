"""Eight bytes at a time find the same digits and numbers as one at a time."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.etl.swar import SLACK_BYTES, eight_bytes, leading_digits, number


def padded(text: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(text + b"\n" * SLACK_BYTES, np.uint8)


def word_of(text: bytes, at: int = 0) -> np.uint64:
    return np.uint64(eight_bytes(padded(text), at))


@given(text=st.binary(max_size=12), at=st.integers(0, 12))
def test_digits_are_counted_up_to_the_first_byte_that_is_none(text: bytes, at: int) -> None:
    at = min(at, len(text))
    found = re.match(rb"[0-9]*", text[at : at + 8])
    assert found is not None
    assert leading_digits(word_of(text, at)) == len(found.group())


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_is_a_digit_or_none(byte: int) -> None:
    assert leading_digits(word_of(b"12%c4" % byte)) == (4 if 48 <= byte <= 57 else 2)


@given(digits=st.text("0123456789", min_size=1, max_size=8), rest=st.binary(max_size=8))
def test_the_number_is_that_of_its_digits_whatever_follows(digits: str, rest: bytes) -> None:
    word = word_of(digits.encode() + rest)
    assert number(word, np.uint64(len(digits))) == int(digits)
