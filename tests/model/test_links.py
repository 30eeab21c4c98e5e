from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matinee.model.links import Links


@given(
    st.dictionaries(st.tuples(st.integers(0, 5), st.integers(1, 5)), st.integers(1, 9)),
    st.lists(st.integers(0, 9), max_size=8),
)
def test_links_leave_where_they_were_put(table: dict[tuple[int, int], int], asked: list[int]) -> None:
    keys = sorted(table)
    sources, targets = (np.array([key[side] for key in keys], np.int64) for side in (0, 1))
    links = Links.of_sorted(sources, targets, np.array([table[key] for key in keys]), 6)
    assert links.rows == 6
    assert links.sources().tolist() == sources.tolist()
    inside = links.inside(np.array(asked, np.int32))
    assert inside.tolist() == [item if item < 6 else 0 for item in asked]
    found = list(zip(*(part.tolist() for part in links.leaving(inside)), strict=True))
    assert found == [
        (place, target, table[source, target])
        for place, item in enumerate(inside.tolist())
        for source, target in keys
        if source == item
    ]
    arrays = links.arrays()
    again = Links.checked(6, *arrays.values()).arrays()
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())
