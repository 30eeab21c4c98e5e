from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import UsageError
from matinee.model.histories import Histories
from matinee.model.markov import Markov, MarkovSettings
from matinee.model.recommender import Known
from matinee.version import Sequences
from model_behaviour import ITEMS, known_of, planted

LOGS = st.lists(st.lists(st.integers(1, 5), max_size=8), min_size=1, max_size=5)


def sequences(histories: list[list[int]]) -> Sequences:
    """Users 1, 2, ... with these histories."""
    lengths = [0, 0, *(len(history) for history in histories)]
    flat = [item for history in histories for item in history]
    return Sequences(np.cumsum(lengths).astype(np.int64), np.array(flat, np.int32))


def by_hand(histories: list[list[int]], known: set[int], smoothing: float, last: int | None) -> dict[int, float]:
    """log P(next | last) for each known item, from the formula in the class's docstring."""
    events = Counter(item for history in histories for item in history)
    pairs = Counter(pair for history in histories for pair in pairwise(history))
    followed = sum(count for (first, _), count in pairs.items() if first == last)
    total = sum(events[item] + 1 for item in known)
    return {
        item: math.log((pairs[last, item] + smoothing * (events[item] + 1) / total) / (followed + smoothing))
        for item in known
    }


@given(LOGS, st.sampled_from([0.001, 0.5, 10.0, 1000.0]), st.integers(0, 7))
def test_a_score_is_the_logarithm_of_a_probability(histories: list[list[int]], smoothing: float, last: int) -> None:
    train = sequences(histories)
    known = {item for history in histories for item in history} | {6}
    mask = np.isin(np.arange(7), [*known])
    model = Markov.fit(MarkovSettings(smoothing), train, Known(np.diff(train.offsets) > 0, mask))
    (row,) = model.scores(Histories.of([1], [[3, last] if last else []]))
    expected = by_hand(histories, known, smoothing, last or None)
    assert sum(map(math.exp, expected.values())) == pytest.approx(1)
    for item in range(7):
        assert row[item] == pytest.approx(expected.get(item, -math.inf), abs=1e-4)


def test_only_the_last_item_counts() -> None:
    model = Markov.fit(MarkovSettings(), planted(), known_of(planted()))
    one, other, less = model.scores(Histories.of([1, 2, 0], [[9, 8, 4], [17, 4], [4]]))
    assert np.array_equal(one, other)
    assert np.array_equal(one, less)
    assert one.argmax() == 5


def test_a_persons_first_item_follows_nobodys_last() -> None:
    histories = [[1, 2], [], [3, 1], [2]]
    model = Markov.fit(MarkovSettings(), sequences(histories), Known(np.ones(5, np.bool_), np.arange(4) > 0))
    assert model.arrays()["link_weights"].sum() == 2


def test_what_nothing_follows_is_followed_by_the_popular() -> None:
    train = planted()
    model = Markov.fit(MarkovSettings(), train, known_of(train))
    cold, empty = model.scores(Histories.of([1, 1], [[ITEMS], []]))
    assert np.array_equal(cold, empty)
    counts = np.bincount(train.items, minlength=ITEMS + 1)
    assert counts[cold.argmax()] == counts.max()


@pytest.mark.parametrize("smoothing", [0.0, -3.0, math.nan, math.inf])
def test_smoothing_is_above_0(smoothing: float) -> None:
    with pytest.raises(UsageError, match=r"smoothing = .*: expected at least 0.001"):
        MarkovSettings(smoothing)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("link_offsets", lambda array: array[::-1]),
        ("link_offsets", lambda array: array + 1),
        ("link_offsets", lambda array: array * np.nan),
        ("link_items", lambda array: array * 0),
        ("link_items", lambda array: array + ITEMS),
        ("link_weights", lambda array: array * np.nan),
        ("link_weights", lambda array: array * 0),
        ("events", lambda array: array * 0 - 1),
        ("events", lambda array: array / 2),
    ],
)
def test_counts_that_are_none_are_refused(name: str, wrong: object) -> None:
    train = planted()
    model = Markov.fit(MarkovSettings(), train, known_of(train))
    arrays = model.arrays()
    with pytest.raises(ValueError, match=r"."):
        Markov.from_arrays(model.settings, model.known, {**arrays, name: wrong(arrays[name])})  # type: ignore[operator]
