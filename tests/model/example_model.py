"""What came soon after the last item: the example of docs/models.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from matinee.model.ranges import within
from matinee.model.recommender import CountedRecommender, Known, TrainingData, exactly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matinee.model.histories import Histories


@dataclass(frozen=True, slots=True)
class SoonAfterSettings:
    """reach: how many events after an item still count as soon."""

    reach: int = 3

    def __post_init__(self) -> None:
        within("reach", self.reach, least=1)


class SoonAfter(CountedRecommender):
    """Item j scores the sum of 1 / distance over all places where it came soon after the last item."""

    name = "soon-after"

    def __init__(self, settings: SoonAfterSettings, known: Known, nearness: np.ndarray[Any, Any]) -> None:
        super().__init__(settings, known)
        self.nearness = nearness  # (items, items), row 0 for the cold

    @classmethod
    def fit(cls, settings: SoonAfterSettings, train: TrainingData, known: Known) -> Self:
        nearness = np.zeros((known.items.size, known.items.size), np.float32)
        for history in np.split(train.items, train.offsets[1:-1]):
            for distance in range(1, settings.reach + 1):
                np.add.at(nearness, (history[:-distance], history[distance:]), 1 / distance)
        return cls(settings, known, nearness)

    def scores(self, asked: Histories) -> np.ndarray[Any, Any]:
        last = asked.padded(1)[0][:, 0]  # 0 for an empty history
        return self.mask_unknown(self.nearness[np.where(last < self.known.items.size, last, 0)])

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        return {"nearness": self.nearness}

    @classmethod
    def from_arrays(cls, settings: SoonAfterSettings, known: Known, arrays: Mapping[str, Any]) -> Self:
        (nearness,) = exactly(arrays, "nearness")
        if nearness.shape != (known.items.size, known.items.size):
            raise ValueError(f"nearness of shape {nearness.shape}, expected {known.items.size} items")
        return cls(settings, known, nearness)
