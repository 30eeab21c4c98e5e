"""JSON into dataclasses: the right types come in; whatever else there is ends in a ValueError that names the place."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.model.record import parse_json, record

GOOD = {"name": "x", "share": 1, "inner": {"count": 2}, "sizes": [1, 2]}


@dataclass(frozen=True)
class Inner:
    count: int


@dataclass(frozen=True)
class Outer:
    name: str
    share: float
    inner: Inner
    sizes: tuple[int, ...]
    pair: tuple[int, str] = (0, "")
    flag: bool = False
    mode: Literal["a", "b", 1] = "a"
    perhaps: int | None = None
    table: dict[str, float] = field(default_factory=dict)
    anything: Any = None


def test_plain_values_become_what_is_declared() -> None:
    plain = {**GOOD, "pair": [3, "z"], "mode": 1, "perhaps": 5, "table": {"k": 2}, "anything": [{}]}
    made = record(Outer, plain)
    assert made == Outer("x", 1.0, Inner(2), (1, 2), (3, "z"), False, 1, 5, {"k": 2.0}, [{}])
    assert type(made.share) is type(made.table["k"]) is float
    assert record(Outer, GOOD) == Outer("x", 1.0, Inner(2), (1, 2))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": 3}, "name is 3, expected str"),
        ({"share": "1"}, 'share is "1", expected float'),
        ({"share": True}, "share is true, expected float"),
        ({"inner": 3}, "inner is 3, expected a record"),
        ({"inner": {}}, "inner.count is missing"),
        ({"inner": {"count": 1.0}}, "inner.count is 1.0, expected int"),
        ({"inner": {"count": 10**20}}, "inner.count is 100000000000000000000, expected 64 bits"),
        ({"sizes": 1}, "sizes is 1, expected"),
        ({"sizes": ["1"]}, 'sizes is "1", expected int'),
        ({"pair": [1]}, "pair is .*, expected"),
        ({"flag": 1}, "flag is 1, expected bool"),
        ({"mode": "c"}, 'mode is "c", expected'),
        ({"mode": True}, "mode is true, expected"),
        ({"mode": []}, "mode is .*, expected"),
        ({"perhaps": "no"}, 'perhaps is "no", expected NoneType'),
        ({"table": {"k": None}}, "table.k is null, expected float"),
        ({"more": 1}, "more is unknown"),
    ],
)
def test_the_wrong_type_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        record(Outer, {**GOOD, **change})


@pytest.mark.parametrize("text", ["[NaN]", "[Infinity]", "[-Infinity]", "[" * 100_000, "{", "", "1" * 5000, b"\xff"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries(dict.fromkeys(GOOD, json_values), optional={"mode": json_values, "table": json_values}))
def test_whatever_comes_is_taken_or_refused(plain: dict[str, Any]) -> None:
    try:
        made = record(Outer, plain)
    except ValueError:
        return
    assert isinstance(made.name, str)
    assert isinstance(made.share, float)
    assert record(Outer, {**asdict(made), "sizes": [*made.sizes], "pair": [*made.pair]}) == made
