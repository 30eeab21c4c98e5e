"""Known ids as a text: they come back, and what is no such text is refused."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.model.known_bits import pack, unpack


@given(known=st.lists(st.booleans(), max_size=100))
def test_known_ids_come_back(known: list[bool]) -> None:
    array = np.array([False, *known])
    again = unpack(pack(array))
    assert again.dtype == np.bool_
    np.testing.assert_array_equal(again, array)


def test_a_million_ids_take_little_room() -> None:
    assert len(pack(np.arange(1_000_001) > 0)) < 1_000


def _coded(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3:",
        "x:eA==",
        "-1:" + _coded(b"\0"),
        "0:" + _coded(b""),
        f"{2**40}:" + _coded(b"\0"),
        "20:" + _coded(b"\0"),  # too few
        "3:" + _coded(b"\x80"),  # 0 is known
        "3:!!!",
        "3:" + base64.b64encode(b"junk").decode(),
    ],
)
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="known ids"):
        unpack(text)


def test_a_text_that_unpacks_without_end_is_cut_off() -> None:
    assert unpack("3:" + _coded(b"\x60" + b"\0" * 10_000_000)).tolist() == [False, True, True]


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        known = unpack(text)
    except ValueError:
        return
    assert not known[0]
