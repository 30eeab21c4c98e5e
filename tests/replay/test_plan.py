"""A plan is what it says, comes back from JSON as it was, and is known again by its fingerprint."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import UsageError
from matinee.replay.against import Against
from matinee.replay.plan import Arrivals, Plan

_some = st.one_of(st.none(), st.integers(1, 10**6))
arrivals = st.one_of(
    st.builds(Arrivals),
    st.builds(Arrivals, rate=st.floats(0.1, 1e6)),
    st.builds(Arrivals, speed=st.floats(0.1, 1e6), max_gap_s=st.none() | st.floats(0.01, 100)),
)
plans = st.builds(
    Plan,
    dataset=st.text(max_size=5),
    version=st.just("0123456789abcdef"),
    version_sha256=st.just("ab" * 32),
    split=st.sampled_from(["eval", "test"]),
    arrivals=arrivals,
    order=st.sampled_from(["user", "log"]),
    users=_some,
    limit=_some,
    k=st.integers(1, 100),
    exclude_seen=st.booleans(),
    connections=st.integers(1, 500),
    seed=st.integers(0, 9),
)


@given(plans)
def test_a_plan_comes_back_from_json(plan: Plan) -> None:
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


@given(plans, plans, st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_the_same_plan_with_the_same_arms_is_the_same_replay(one: Plan, two: Plan, arms: Any, others: Any) -> None:
    same = one == two and sorted(arms) == sorted(others)
    assert (one.fingerprint(arms) == two.fingerprint(others)) is same
    assert one.fingerprint(arms) == one.fingerprint(arms[::-1])


def test_whole_numbers_and_others_are_one_plan() -> None:
    plans = [Plan("log", "0123456789abcdef", "ab", arrivals=Arrivals(rate=rate)) for rate in (500, 500.0)]
    assert plans[0].fingerprint([]) == plans[1].fingerprint([])


def test_every_value_of_a_plan_is_in_its_fingerprint() -> None:
    plan = Plan("log", "0123456789abcdef", "ab")
    others = {
        "split": "test", "arrivals": Arrivals(rate=1), "order": "log", "users": 1, "since_s": 1, "until_s": 2,
        "limit": 3, "k": 5, "exclude_seen": False, "connections": 1, "time_limit_s": 1.0, "patience_s": 1.0, "seed": 1,
        "dataset": "other", "version": "1", "version_sha256": "cd",
    }  # fmt: skip
    assert others.keys() == {field.name for field in fields(Plan)}
    for name, value in others.items():
        assert replace(plan, **{name: value}).fingerprint(["a"]) != plan.fingerprint(["a"]), name


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"k": 0}, "k is 0, expected 1 or more"),
        ({"k": 101}, "k is 101, expected at most 100"),
        ({"users": 0}, "users is 0"),
        ({"limit": -1}, "limit is -1"),
        ({"connections": 0}, "connections is 0"),
        ({"connections": 1001}, "connections is 1001, expected at most 1000"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        ({"time_limit_s": 0.0}, "time_limit_s is 0, expected more than 0"),
        ({"patience_s": float("nan")}, "patience_s is nan"),
        ({"since_s": 5, "until_s": 5}, r"until \(5\) is not after from \(5\)"),
    ],
)
def test_what_cannot_be_is_said(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Plan("log", "0123456789abcdef", "ab", **values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"speed": 1.0, "rate": 1.0}, "come from the log or from a rate"),
        ({"max_gap_s": 1.0}, "belongs to speed"),
        ({"rate": 1.0, "max_gap_s": 1.0}, "belongs to speed"),
        ({"rate": float("inf")}, "rate is inf"),
        ({"speed": -2.0}, "speed is -2, expected more than 0"),
    ],
)
def test_arrivals_that_cannot_be_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Arrivals(**values)


@pytest.mark.parametrize("name", ["", "Upper", "with space", "a/b", "..", "-a", "a" * 33, "a\n"])
def test_an_arms_name_is_one_of_a_file(name: str) -> None:
    with pytest.raises(UsageError, match="a name has up to 32"):
        Against(name, url="http://localhost")
