"""Intervals that hold the truth about as often as they say, and p values against a full enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from matinee.metrics.significance import compare, interval


def test_the_interval_is_as_wide_as_theory_says_for_independent_events() -> None:
    chance = np.random.default_rng(0)
    values = (chance.random((4000, 2)) < [0.2, 0.5]).astype(float)
    low, high = interval(values, np.arange(4000, dtype=np.int32))
    mean = values.mean(0)
    width = 2 * 1.96 * np.sqrt(mean * (1 - mean) / 4000)
    assert high - low == pytest.approx(width, rel=0.1)
    assert (low < mean).all()
    assert (mean < high).all()


def test_events_of_one_user_are_not_counted_as_independent() -> None:
    chance = np.random.default_rng(1)
    each = (chance.random(100) < 0.3).astype(float)
    once = interval(each[:, None], np.arange(100, dtype=np.int32))
    often = interval(np.repeat(each, 50)[:, None], np.repeat(np.arange(100, dtype=np.int32), 50))
    assert often[1] - often[0] == pytest.approx(once[1] - once[0])


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(2)
    held = 0
    for trial in range(100):
        lengths = chance.integers(1, 20, 60)
        users = np.repeat(np.arange(60, dtype=np.int32), lengths)
        values = (chance.random(users.size) < np.repeat(chance.beta(2, 6, 60), lengths)).astype(float)
        low, high = interval(values[:, None], users, seed=trial)
        held += bool(low[0] <= 0.25 <= high[0])
    assert 87 <= held <= 99


def test_a_seed_repeats_and_another_does_not() -> None:
    values, users = np.arange(30.0)[:, None], np.arange(30, dtype=np.int32)
    assert interval(values, users, seed=1) == interval(values, users, seed=1)
    assert interval(values, users, seed=1) != interval(values, users, seed=2)


def test_without_events_there_is_no_interval() -> None:
    low, high = interval(np.zeros((0, 2)), np.zeros(0, np.int32))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_p_is_that_of_all_possible_flips() -> None:
    users = np.array([1, 1, 2, 3, 4, 5, 5, 6, 7, 8], np.int32)
    values = np.array([1, 0, 1, 1, 0.5, 1, 0, 0.5, 1, 1.0])
    others = np.array([0, 0, 1, 0.5, 0, 1, 1, 0, 0.5, 0])
    sums = np.array([(values - others)[users == user].sum() for user in np.unique(users)])
    reached = sum(
        abs(np.dot(signs, sums)) >= abs(sums.sum()) - 1e-9 for signs in product((-1, 1), repeat=sums.size)
    )  # fmt: skip
    found = compare(values, others, users)
    assert found.p == pytest.approx(reached / 2**sums.size, abs=0.02)
    assert found.difference == pytest.approx((values - others).mean())
    assert found.low <= found.difference <= found.high
    assert (found.events, found.users) == (10, 8)


def test_the_same_model_does_not_differ_from_itself() -> None:
    values = np.random.default_rng(3).random(50)
    same = compare(values, values, np.arange(50, dtype=np.int32))
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_a_difference_for_many_users_is_hardly_chance_and_p_is_never_0() -> None:
    chance = np.random.default_rng(4)
    users = np.arange(300, dtype=np.int32)
    others = chance.random(300)
    found = compare(others + chance.normal(0.2, 0.5, 300), others, users)
    assert found.p == pytest.approx(1 / 10_000)
    assert found.low > 0
    back = compare(others, others + chance.normal(0.2, 0.5, 300), users)
    assert back.high < 0


def test_equally_good_models_seldom_seem_to_differ() -> None:
    chance = np.random.default_rng(5)
    users = np.arange(40, dtype=np.int32)
    p = [compare(chance.random(40), chance.random(40), users, seed=trial).p for trial in range(100)]
    assert np.mean(np.array(p) < 0.05) < 0.13
