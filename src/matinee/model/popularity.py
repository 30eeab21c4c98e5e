"""What most people have taken so far: the floor under every other model, and a hard one to be far above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from matinee.model.recommender import CountedRecommender, Known, Prior, TrainingData, exactly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.histories import Histories

__all__ = ["Popularity", "PopularitySettings"]


@dataclass(frozen=True, slots=True)
class PopularitySettings:
    """There is nothing to choose."""


class Popularity(CountedRecommender):
    """All known items score alike, and the prior ranks: its counts are those of the moment, not those of training.

    So nothing is learnt. Under a time split the counts go on with every event, and a new item is recommended as soon as
    others took it: popularity as of the moment of asking, which Ji, Sun, Zhang and Li, 'A Re-visit of the Popularity
    Baseline in Recommender Systems' (SIGIR 2020, arXiv 2005.13829) find far stronger than training's.
    """

    name = "popularity"

    def __init__(self, settings: Any, known: Known, prior: Prior | None = None) -> None:
        super().__init__(settings, known, prior or Prior(weight=1.0))

    @classmethod
    def fit(cls, settings: Any, train: TrainingData, known: Known) -> Self:  # noqa: ARG003 - the counts come later
        """Nothing to count: see the class."""
        return cls(settings, known)

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """0 for every known item; (n, known.items.size)."""
        return self.mask_unknown(np.zeros((len(asked), self.known.items.size), np.float32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing was learnt."""
        return {}

    @classmethod
    def from_arrays(cls, settings: Any, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model again; raises ValueError where there are arrays, which then are another model's."""
        exactly(arrays)
        return cls(settings, known)
