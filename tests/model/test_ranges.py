from __future__ import annotations

from math import inf, nan

import pytest

from matinee.errors import UsageError
from matinee.model.ranges import among, within


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_what_lies_within(value: float) -> None:
    within("dropout", value, least=0, most=1)
    within("dropout", value)


@pytest.mark.parametrize(
    ("value", "least", "most", "expected"),
    [
        (-0.1, 0, 1, "at least 0 and at most 1"),
        (1.5, 0, 1, "at least 0 and at most 1"),
        (0, 1, None, "at least 1"),
        (inf, None, 9, "at most 9"),
        (nan, 0, None, "at least 0"),
        (nan, None, 9, "at most 9"),
    ],
)
def test_what_lies_outside(value: float, least: float | None, most: float | None, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        within("dropout", value, least=least, most=most)
    assert str(caught.value) == f"dropout = {value}: expected {expected}"


def test_choices() -> None:
    among("norm", "pre", ("query", "pre"))
    with pytest.raises(UsageError, match=r"^norm = 'post': expected one of query, pre$"):
        among("norm", "post", ("query", "pre"))
