from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matinee.serve.raw_ids import RawIds

numbers = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(numbers, unique=True), st.lists(numbers | st.text(min_size=1), max_size=20))
def test_a_map_of_numbers_is_a_dictionary_that_grows(raw: list[int], told: list[int | str]) -> None:
    ids = RawIds(np.array(raw, np.int64), "integer")
    oracle = {str(each): number for number, each in enumerate(raw, 1)}
    for each in told:
        assert ids.dense(str(each)) == oracle.get(str(each), 0)
        assert ids.number(str(each)) == oracle.setdefault(str(each), len(oracle) + 1)
    assert len(ids) == len(oracle)
    assert ids.numbered == len(raw)
    assert ids.all_dense([*told, *raw]).tolist() == [ids.dense(str(each)) for each in [*told, *raw]]
    for text, number in oracle.items():
        assert ids.dense(text) == number
        assert str(ids.raw(number)) == text
        assert isinstance(ids.raw(number), int) == _is_number(text)


@given(st.lists(numbers, unique=True), st.lists(numbers, unique=True), numbers)
def test_many_numbers_are_looked_up_as_each_by_itself(raw: list[int], new: list[int], other: int) -> None:
    ids = RawIds(np.array(raw, np.int64), "integer")
    for each in new:
        ids.number(str(each))
    assert ids.all_dense([*new, other, *raw]).tolist() == [ids.dense(str(each)) for each in [*new, other, *raw]]
    for most in {ids.numbered, len(ids)}:
        table = np.arange(most + 1, dtype=np.int32).reshape(1, -1)
        assert ids.all_raw(table) == [[None, *(ids.raw(dense) for dense in range(1, most + 1))]]


@given(st.lists(st.text(min_size=1), unique=True), st.text(min_size=1))
def test_a_map_of_texts_keeps_texts(raw: list[str], other: str) -> None:
    ids = RawIds(np.array(raw, object), "string")
    assert [ids.raw(ids.dense(text)) for text in raw] == raw
    assert ids.all_dense([*raw, 7]).tolist() == [ids.dense(text) for text in [*raw, "7"]]
    assert ids.all_raw(np.arange(len(raw) + 1, dtype=np.int32)[None]) == [[None, *raw]]
    assert ids.raw(ids.number(other)) == other
    assert ids.raw(ids.number("7")) == "7"
    assert ids.dense("never heard of " + "".join(raw)) == 0


def _is_number(text: str) -> bool:
    try:
        return str(int(text)) == text and -(2**63) <= int(text) < 2**63
    except ValueError:
        return False
