"""Whether two models are the same one in two forms: asked a thousand random questions, they must answer alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matinee.model.histories import Histories

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.model.recommender import Known, Recommender

__all__ = ["Agreement", "compare", "random_histories"]

_AT_ONCE = 100  # histories; their scores are in memory twice


@dataclass(frozen=True, slots=True)
class Agreement:
    """What came of a comparison.

    Attributes:
        histories: asked about.
        difference: the largest between two scores of the same item; infinite where one of them is and the other is not.
        scale: the largest score, disregarding its sign.
        same_lists: histories for which both rank the same items first, in the same order, ties aside: two items whose
            scores are closer than twice `difference` may change places.
    """

    histories: int
    difference: float
    scale: float
    same_lists: int


def compare(one: Recommender, other: Recommender, asked: Histories, *, k: int = 10) -> Agreement:
    """Ask both, and hold their scores and their lists of the best `k` items against each other."""
    apart: list[NDArray[np.float32]] = []
    difference = scale = 0.0
    for start in range(0, len(asked), _AT_ONCE):
        part = _rows(asked, start, start + _AT_ONCE)
        ours, theirs = one.scores(part), other.scores(part)
        finite = np.isfinite(ours)
        if not np.array_equal(finite, np.isfinite(theirs)):
            return Agreement(len(asked), np.inf, np.inf, 0)
        if finite.any():
            difference = max(difference, float(np.abs(ours[finite] - theirs[finite]).max()))
            scale = max(scale, float(np.abs(ours[finite]).max()))
        # What both lists are worth to the first model: the same at each place, unless they differ in more than ties.
        apart.append(np.abs(_best(ours, ours, k) - _best(theirs, ours, k)))
    same = sum(int((rows <= 2 * difference).all(axis=1).sum()) for rows in apart)
    return Agreement(len(asked), difference, scale, same)


def random_histories(known: Known, maxlen: int, count: int, *, seed: int = 0) -> Histories:
    """Histories of 0 to 2 `maxlen` items, of anybody and with anything: also who and what nobody knows."""
    chance = np.random.default_rng(seed)
    lengths = chance.integers(0, 2 * maxlen, count, endpoint=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    users = chance.integers(0, known.users.size + 1, count, endpoint=True).astype(np.int32)
    items = chance.integers(1, known.items.size + 1, offsets[-1], endpoint=True).astype(np.int32)
    return Histories(users, offsets, items)


def _best(scores: NDArray[np.float32], worth: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """(n, k): what the `k` items with the best `scores` are worth, the best first; unknown items are left out."""
    k = min(k, int(np.isfinite(scores).sum(axis=1).min(initial=scores.shape[1])))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(worth, best, axis=1)


def _rows(asked: Histories, start: int, stop: int) -> Histories:
    offsets = asked.offsets[start : stop + 1]
    return Histories(asked.users[start:stop], offsets - offsets[0], asked.items[offsets[0] : offsets[-1]])
