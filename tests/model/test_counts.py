"""Live counts and the kernel against plain Python; a tie, a window's edge, a cold item."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.model.counts import LiveCounts, blend_cold
from matinee.model.recommender import Prior

ITEMS = 9
KNOWN = np.array([False] + [True] * ITEMS)

steps = st.lists(st.tuples(st.integers(1, ITEMS), st.integers(0, 4)), max_size=30)


def fed(rows: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Items and times from items and pauses."""
    return [item for item, _ in rows], np.cumsum([pause for _, pause in rows], dtype=np.int64).tolist()


@given(
    feeds=st.lists(steps, max_size=4), window_s=st.sampled_from([None, 1, 3, 10]), weight=st.sampled_from([0.3, 2.0])
)
def test_counts_and_bonus_after_each_feed(
    feeds: list[list[tuple[int, int]]], window_s: int | None, weight: float
) -> None:
    counts = LiveCounts(Prior(weight, window_s), KNOWN)
    items, times = fed([row for feed in feeds for row in feed])
    done = 0
    for feed in feeds:
        stop = done + len(feed)
        counts.feed(np.array(items[done:stop], np.int32), np.array(times[done:stop], np.int64))
        done = stop
        now = times[done - 1] if done else 0
        counts.settle(now)
        inside = [
            item for item, time in zip(items[:done], times[:done], strict=True) if now - time < (window_s or 10**9)
        ]
        expected = np.bincount(inside, minlength=ITEMS + 1)
        assert counts.counts.tolist() == expected.tolist()
        assert counts.bonus[1:].tolist() == [np.float32(weight * math.log1p(count)) for count in expected[1:]]


@given(rows=steps.filter(bool), window_s=st.sampled_from([None, 2, 6]), seed=st.integers(0, 1000))
def test_each_row_is_ranked_as_of_its_own_place(rows: list[tuple[int, int]], window_s: int | None, seed: int) -> None:
    items, times = fed(rows)
    scores = np.random.default_rng(seed).integers(0, 4, (len(rows), ITEMS + 1)).astype(np.float32)
    counts = LiveCounts(Prior(1.0, window_s), KNOWN)
    counts.feed(np.array(items, np.int32), np.array(times, np.int64))
    ranks, best = counts.rank(
        scores.copy(), np.array(items, np.int32), np.arange(len(rows)), np.array(times, np.int64), 4
    )
    for row, (target, now) in enumerate(zip(items, times, strict=True)):
        happened = [
            item
            for item, time in zip(items[:row], times[:row], strict=True)
            if window_s is None or now - time < window_s
        ]
        total = {item: scores[row, item] + np.float32(math.log1p(happened.count(item))) for item in range(1, ITEMS + 1)}
        assert ranks[row] == 1 + sum(total[other] >= total[target] for other in total if other != target)
        assert best[row].tolist() == sorted(total, key=lambda item: (-total[item], item))[:4]


@pytest.mark.parametrize("size", [1, 2, 128, 129, 130, 1000])
def test_a_catalogue_of_any_size_is_ranked_to_its_end(size: int) -> None:
    known = np.ones(size + 1, np.bool_)
    known[0] = False
    scores = np.random.default_rng(size).permutation(size + 1)[None].astype(np.float32)
    order = 1 + np.argsort(-scores[0, 1:])
    counts = LiveCounts(Prior(), known)
    place = np.zeros(1, np.int64)
    for position in {0, size // 2, size - 1}:
        ranks, best = counts.rank(scores, order[[position]].astype(np.int32), place, place, 10)
        assert ranks.tolist() == [position + 1]
        assert best[0, : min(10, size)].tolist() == order[:10].tolist()
        assert not best[0, size:].any()


def test_an_event_counts_until_its_window_has_passed() -> None:
    counts = LiveCounts(Prior(1.0, 10), KNOWN)
    counts.feed(np.array([4], np.int32), np.array([100]))
    for now, count in ((100, 1), (109, 1), (110, 0)):
        counts.settle(now)
        assert counts.counts[4] == count


def test_moments_as_old_as_a_number_can_be() -> None:
    first = np.iinfo(np.int64).min
    counts = LiveCounts(Prior(1.0, 10), KNOWN)
    counts.feed(np.array([4, 4], np.int32), np.array([first + 5, 0]))
    counts.settle(first + 6)
    assert counts.counts[4] == 2
    counts.settle(3)
    assert counts.counts[4] == 1


def test_a_tie_counts_against_the_target() -> None:
    counts = LiveCounts(Prior(), KNOWN)
    place = np.zeros(1, np.int64)
    scores = np.zeros((1, ITEMS + 1), np.float32)
    ranks, best = counts.rank(scores, np.array([3], np.int32), place, place, 3)
    assert ranks.tolist() == [ITEMS]
    assert best.tolist() == [[1, 2, 3]]


def test_without_a_prior_a_cold_item_ranks_last_and_is_never_named() -> None:
    known = KNOWN.copy()
    known[2] = False
    counts = LiveCounts(Prior(), known)
    scores = np.zeros((2, ITEMS + 1), np.float32)
    assert blend_cold(scores, known)
    place = np.zeros(2, np.int64)
    ranks, best = counts.rank(scores, np.array([2, 1], np.int32), place, place, ITEMS)
    assert ranks.tolist() == [ITEMS, ITEMS - 1]
    assert 2 not in best
    assert best[0, -1] == 0


def test_a_cold_item_gets_the_mean_of_the_known() -> None:
    known = np.array([False, True, False, True])
    scores = np.array([[-np.inf, 1.0, -np.inf, 4.0], [-np.inf, 0.0, -np.inf, -3.0]], np.float32)
    assert blend_cold(scores, known)
    assert scores[:, 1:].tolist() == [[1.0, 2.5, 4.0], [0.0, -1.5, -3.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_no_scores(bad: float) -> None:
    scores = np.ones((3, ITEMS + 1), np.float32)
    scores[1, 5] = bad
    assert not blend_cold(scores, KNOWN)


def test_ranks_among_some_others_count_each_as_often_as_it_is_named() -> None:
    counts = LiveCounts(Prior(1.0), KNOWN)
    counts.feed(np.array([7, 7], np.int32), np.array([1, 2]))
    scores = np.zeros((2, ITEMS + 1), np.float32)
    scores[1, 1] = 9
    others = np.array([[7, 7, 2, 3], [7, 7, 2, 3]], np.int32)
    assert counts.rank_among(scores, np.array([1, 1], np.int32), others, 3).tolist() == [5, 1]
    assert counts.rank_among(scores, np.array([7, 7], np.int32), np.array([[1, 2], [1, 2]]), 3).tolist() == [1, 2]


@given(feeds=st.lists(steps, max_size=4), window_s=st.sampled_from([None, 1, 3, 10]), seed=st.integers(0, 1000))
def test_what_is_kept_can_be_asked_about_as_of_any_moment(
    feeds: list[list[tuple[int, int]]], window_s: int | None, seed: int
) -> None:
    counts = LiveCounts(Prior(1.0, window_s), KNOWN, keep=True)
    items, times = fed([row for feed in feeds for row in feed])
    done, chance = 0, np.random.default_rng(seed)
    for feed in feeds:
        stop = done + len(feed)
        counts.feed(np.array(items[done:stop], np.int32), np.array(times[done:stop], np.int64))
        done = stop
        for now in chance.integers(0, 60, 4).tolist():
            counts.settle(now)
            inside = [
                item
                for item, time in zip(items[:done], times[:done], strict=True)
                if window_s is None or time > now - window_s
            ]
            assert counts.counts.tolist() == np.bincount(inside, minlength=ITEMS + 1).tolist()
