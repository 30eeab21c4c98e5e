"""Live counts behind the recency prior, and the kernel that ranks events one after the other while the counts move on.

What happens is fed in order of time. Whoever is asked about is ranked as of a place in that order: what stands before
the place has happened, what stands at it or behind it has not, whatever the clock says. Nothing is ever counted from
the future, and of two events in the same second only the earlier in the order is known to the later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.model.recommender import Prior

    # counts, bonus, weight, window in seconds, items and times of what is kept, and how far it is counted
    _State = tuple[
        NDArray[np.int64],
        NDArray[np.float32],
        float,
        int,
        NDArray[np.int32],
        NDArray[np.int64],
        NDArray[np.int64],
    ]

__all__ = ["LiveCounts", "blend_cold"]

_Number = TypeVar("_Number", np.int32, np.int64)

_FOR_EVER = np.iinfo(np.int64).max
_BLOCK = 128  # scores looked at together; only a block that holds a new best item is looked at one by one


class LiveCounts:
    """How often each item has been taken in a window that ends at a moving moment, and what the prior makes of it.

    Attributes:
        prior: weight and window.
        counts: (items + 1,) int64, as of the last moment that was asked about.
        bonus: (items + 1,) float32, what is added to each score: weight * log(1 + count). With weight 0 it is 0 for
            what the model knows and -inf for all else, so that an item that training has not seen is never recommended.
    """

    def __init__(self, prior: Prior, known_items: NDArray[np.bool_], *, keep: bool = False) -> None:
        """Nothing has happened yet; with `keep` all that happens is kept, and earlier moments may be asked about."""
        self.prior = prior
        self._keep = keep
        self.counts = np.zeros(known_items.size, np.int64)
        self.bonus = np.zeros(known_items.size, np.float32)
        if not prior.weight:
            self.bonus[~known_items] = -np.inf
        self.bonus[0] = -np.inf
        self._items = np.zeros(0, np.int32)
        self._times_s = np.zeros(0, np.int64)
        self._kept = 0  # events in the two arrays, which have room for more
        self._reach = np.zeros(2, np.int64)  # of what is kept, [first, last) is counted
        self._fed_at = 0  # where the last feed begins in what is kept

    def feed(self, items: NDArray[np.int32], times_s: NDArray[np.int64]) -> None:
        """Say what happens next, in order of time; (n,) each. It counts once a later place is asked about, or fed."""
        if not self.prior.weight:
            return
        counted_from = self._move(self._kept, None)
        first = 0 if self._keep else counted_from
        self._fed_at = self._kept - first
        self._items = _appended(self._items, first, self._kept, items)
        self._times_s = _appended(self._times_s, first, self._kept, times_s)
        self._kept = self._fed_at + items.size
        self._reach[:] = counted_from - first, self._fed_at

    def settle(self, now_s: int | None = None) -> None:
        """Count all that was fed; with `now_s`, forget what has left the window by then."""
        if self.prior.weight:
            self._move(self._kept, now_s)

    def rank(
        self,
        scores: NDArray[np.float32],
        targets: NDArray[np.int32],
        places: NDArray[np.int64],
        times_s: NDArray[np.int64],
        k: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rank each target among all items, and name the best k, each row as of its own place and moment.

        A tie counts against the target: its rank is 1 + the number of other items that score at least as much. Of
        equals the item with the smaller id is named first.

        Args:
            scores: (n, items + 1), what `blend_cold` has made of a model's; -inf where an item is out of the question.
            targets: (n,).
            places: (n,), not falling: how many events of the last feed come before the row.
            times_s: (n,), not falling unless everything is kept.
            k: how many to name; 0 names none, and is quicker.

        Returns:
            Ranks (n,), and the best items (n, k), the best first, 0 where there are no more.
        """
        ranks = np.empty(targets.size, np.int32)
        best = np.zeros((targets.size, k), np.int32)
        live = bool(self.prior.weight)
        _rank(
            scores,
            targets,
            places + self._fed_at if live else np.zeros(targets.size, np.int64),
            times_s,
            *self._state(),
            ranks,
            best,
        )
        return ranks, best

    def rank_among(
        self,
        scores: NDArray[np.float32],
        targets: NDArray[np.int32],
        others: NDArray[np.int32],
        now_s: int,
    ) -> NDArray[np.int32]:
        """Rank each target among others only, as of one moment at which all that was fed has happened.

        Args:
            scores: (n, items + 1), as for `rank`.
            targets: (n,).
            others: (n, m); one that is named twice counts twice.
            now_s: the moment.

        Returns:
            Ranks (n,), 1 + the number of others that score at least as much.
        """
        self.settle(now_s)
        row = np.arange(targets.size)
        heights = scores[row, targets] + self.bonus[targets]
        higher = scores[row[:, None], others] + self.bonus[others] >= heights[:, None]
        ranks: NDArray[np.int32] = (1 + higher.sum(axis=1)).astype(np.int32)
        return ranks

    def _move(self, until: int, now_s: int | None) -> int:
        """Count up to a place in what is kept; returns the first that still matters."""
        counts, bonus, weight, window_s, items, times_s, reach = self._state()
        moment = now_s if now_s is not None else (times_s[until - 1] if until else 0)
        _advance(counts, bonus, weight, window_s, items, times_s, reach, until, moment)
        return int(reach[0]) if self.prior.window_s is not None else until

    def _state(self) -> _State:
        """What the kernels take."""
        window_s = _FOR_EVER if self.prior.window_s is None else self.prior.window_s
        items, times_s = self._items[: self._kept], self._times_s[: self._kept]
        return self.counts, self.bonus, float(self.prior.weight), window_s, items, times_s, self._reach


def _appended(array: NDArray[_Number], first: int, size: int, more: NDArray[_Number]) -> NDArray[_Number]:
    """What is in `array` from `first` up to `size`, then `more`, then room; in place where that is possible."""
    needed = size - first + more.size
    if first or needed > array.size:
        grown = np.empty(max(2 * (size - first), needed), array.dtype)
        grown[: size - first] = array[first:size]
        array = grown
    array[size - first : needed] = more
    return array


def blend_cold(scores: NDArray[np.float32], known_items: NDArray[np.bool_]) -> bool:
    """Give each item that training has not seen the mean of its row's known scores, in place.

    So the prior alone decides between such items, and they compete with the known from the middle of the row.

    Args:
        scores: (n, items + 1), finite for each known item.
        known_items: (items + 1,).

    Returns:
        Whether all scores of known items are finite; if not, they are no scores.
    """
    return bool(_blend_cold(scores, known_items, np.flatnonzero(~known_items)))


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _blend_cold(scores: NDArray[np.float32], known: NDArray[np.bool_], cold: NDArray[np.int64]) -> bool:
    n_known = known.size - cold.size
    for row in range(scores.shape[0]):
        line = scores[row]
        total = np.float64(0)
        for item in range(known.size):
            total += np.float64(line[item]) if known[item] else np.float64(0)
        if not np.isfinite(total):
            return False
        mean = np.float32(total / max(n_known, 1))
        for item in cold:
            line[item] = mean
    return True


@njit(nogil=True, cache=True)
def _advance(
    counts: NDArray[np.int64],
    bonus: NDArray[np.float32],
    weight: float,
    window_s: int,
    items: NDArray[np.int32],
    times_s: NDArray[np.int64],
    reach: NDArray[np.int64],
    until: int,
    now_s: int,
) -> None:
    """Count what comes before place `until`, and of it what is less than `window_s` before `now_s`."""
    first, last = reach[0], reach[1]
    while last < until:
        item = items[last]
        counts[item] += 1
        bonus[item] = weight * np.log1p(counts[item])
        last += 1
    if window_s < _FOR_EVER:
        oldest = max(now_s, window_s - _FOR_EVER) - window_s
        while first < last and times_s[first] <= oldest:
            item = items[first]
            counts[item] -= 1
            bonus[item] = weight * np.log1p(counts[item])
            first += 1
        while first > 0 and times_s[first - 1] > oldest:  # an earlier moment than the last one
            first -= 1
            item = items[first]
            counts[item] += 1
            bonus[item] = weight * np.log1p(counts[item])
    reach[0], reach[1] = first, last


@njit(nogil=True, cache=True)
def _rank(
    scores: NDArray[np.float32],
    targets: NDArray[np.int32],
    places: NDArray[np.int64],
    times_s: NDArray[np.int64],
    counts: NDArray[np.int64],
    bonus: NDArray[np.float32],
    weight: float,
    window_s: int,
    items: NDArray[np.int32],
    item_times_s: NDArray[np.int64],
    reach: NDArray[np.int64],
    ranks: NDArray[np.int32],
    best: NDArray[np.int32],
) -> None:
    k = best.shape[1]
    heights = np.full(max(k, 1), np.float32(np.inf))
    for row in range(targets.size):
        if weight:
            _advance(counts, bonus, weight, window_s, items, item_times_s, reach, places[row], times_s[row])
        line = scores[row]
        height = line[targets[row]] + bonus[targets[row]]
        rank = 0
        heights[:k] = -np.inf
        for start in range(1, bonus.size, _BLOCK):
            part, extra = line[start : start + _BLOCK], bonus[start : start + _BLOCK]
            low = heights[-1]
            as_high = better = 0
            for i in range(part.size):  # nothing but sums, so that the processor takes many at a time
                score = part[i] + extra[i]
                as_high += score >= height
                better += score > low
            rank += as_high
            for i in range(part.size if better else 0):
                score = part[i] + extra[i]
                if score > heights[-1]:
                    at = k - 1
                    while at > 0 and score > heights[at - 1]:
                        heights[at] = heights[at - 1]
                        best[row, at] = best[row, at - 1]
                        at -= 1
                    heights[at] = score
                    best[row, at] = start + i
        ranks[row] = rank  # 1 + the others, as the target is as high as itself
