"""What most often followed the last item: a first-order Markov chain, the sanity floor of sequential models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from matinee.model.links import LINK_ARRAYS, Links
from matinee.model.ranges import within
from matinee.model.recommender import CountedRecommender, Known, TrainingData, exactly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.histories import Histories

__all__ = ["Markov", "MarkovSettings"]


@dataclass(frozen=True, slots=True)
class MarkovSettings:
    """How far the chain is trusted.

    Attributes:
        smoothing: how many events of popularity are mixed into what followed an item; the more, the nearer to
            popularity.
    """

    smoothing: float = 10.0

    def __post_init__(self) -> None:
        """Raise UsageError where smoothing is impossible."""
        within("smoothing", self.smoothing, least=0.001, most=1e9)


class Markov(CountedRecommender):
    """The score is log P(next | last), with popularity as its Dirichlet prior.

    P(j | i) = (count(i, j) + smoothing * share(j)) / (count(i) + smoothing); count(i, j) is how often j came right
    after i in somebody's history, share(j) is j's share of training's events (Zhai and Lafferty, 'A study of smoothing
    methods for language models', TOIS 22(2), 2004, pp. 179-214, with histories for texts). Nothing ever followed a cold
    item, and an empty history has no last one: then only share(j) is left, which is popularity. Users do not matter.
    """

    name = "markov"

    def __init__(self, settings: MarkovSettings, known: Known, links: Links, events: NDArray[np.int64]) -> None:
        """The chain: links weigh count(i, j); events (known.items.size,) are each item's in training."""
        super().__init__(settings, known)
        self._links = links
        self._events = events
        # One event more for each known item: then no known item's share is 0, whoever said what is known.
        counted = np.where(known.items, events + 1, 0)
        self._shares = settings.smoothing * counted / max(1, counted.sum())
        self._followed = np.bincount(links.sources(), links.weights, minlength=links.rows)

    @classmethod
    def fit(cls, settings: MarkovSettings, train: TrainingData, known: Known) -> Self:
        """Count the pairs of neighbours in each history."""
        rows = known.items.size
        pairs, counts = np.unique(_pairs(train, rows), return_counts=True)
        links = Links.of_sorted(pairs // rows, pairs % rows, counts, rows)
        return cls(settings, known, links, np.bincount(train.items, minlength=rows))

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """Log-probabilities; (n, known.items.size)."""
        last = self._links.inside(asked.padded(1)[0][:, 0])
        row, item, count = self._links.leaving(last)
        total = np.log(self._followed[last] + self.settings.smoothing)
        with np.errstate(divide="ignore"):  # the logarithm of 0 is an unknown item's
            scores = np.log(self._shares)[None, :] - total[:, None]
        scores[row, item] = np.log(count + self._shares[item]) - total[row]
        return self.mask_unknown(scores.astype(np.float32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The counts of pairs as links, and of events."""
        return {**self._links.arrays(), "events": self._events}

    @classmethod
    def from_arrays(cls, settings: MarkovSettings, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model again; raises ValueError where the arrays are not a chain's."""
        events, *parts = exactly(arrays, "events", *LINK_ARRAYS)
        links = Links.checked(known.items.size, *parts)
        if events.dtype != np.int64 or events.shape != known.items.shape or (events < 0).any():
            raise ValueError(f"events of {events.dtype} {events.shape}, expected counts of {known.items.size} ids")
        if (links.weights <= 0).any():
            raise ValueError("link_weights are not all above 0")
        return cls(settings, known, links, events)


def _pairs(train: TrainingData, rows: int) -> NDArray[np.int64]:
    """Each item and the one right after it in a history, as item * rows + next; (pairs,)."""
    inside = np.ones(max(0, train.items.size - 1), np.bool_)
    ends = train.offsets[1:-1] - 1  # a person's last event is followed by another person's first
    inside[ends[(ends >= 0) & (ends < inside.size)]] = False
    pairs = train.items[:-1].astype(np.int64)
    pairs *= rows
    pairs += train.items[1:]
    return pairs[inside]
