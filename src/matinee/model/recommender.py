"""What every model is, whatever happens inside: settings, what it knows, scores for people with histories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.histories import Histories

__all__ = ["CountedRecommender", "Engine", "Known", "Prior", "Recommender", "TrainingData", "exactly"]

Engine = Literal["numpy", "torch", "onnx"]


@dataclass(frozen=True, slots=True)
class Prior:
    """The recency prior: `weight * log(1 + count)` is added to an item's score.

    Counts are as of the moment of asking, never from its future; whoever asks keeps them (`matinee.model.counts`).

    Attributes:
        weight: lambda; 0 is no prior, and then an item that training has not seen is never recommended.
        window_s: seconds that an event counts; None counts for ever.
    """

    weight: float = 0.0
    window_s: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Which dense ids training has seen.

    Attributes:
        users: (largest id + 1,) bool, False for 0.
        items: (largest id + 1,) bool, False for 0.
    """

    users: NDArray[np.bool_]
    items: NDArray[np.bool_]


class TrainingData(Protocol):
    """What a counted model learns from; `matinee.version.Sequences` is such data, memory-mapped."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(users + 2,): the items of user u are `items[offsets[u]:offsets[u + 1]]`, user 0 has none."""

    @property
    def items(self) -> NDArray[np.int32]:
        """(events,): dense ids, each person's in order of time."""


class Recommender(ABC):
    """A trained model.

    Attributes:
        name: as in `matinee train --model NAME`.
        engine: what computes the scores: 'numpy', 'torch' or 'onnx'.
        settings: the model's own frozen dataclass.
        known: what training has seen; every other id is cold, here and in the scores.
        prior: chosen on validation, applied by whoever keeps the counts.
    """

    name: str
    engine: ClassVar[Engine] = "numpy"

    def __init__(self, settings: Any, known: Known, prior: Prior | None = None) -> None:
        self.settings = settings
        self.known = known
        self.prior = prior or Prior()

    @abstractmethod
    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """The higher, the likelier next; (n, known.items.size), finite for each known item, -inf for all others.

        A row depends on nothing but that row's user and history.
        """

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that was learnt, by name; `from_arrays` makes the same model of it."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, settings: Any, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model that `arrays` came from; raises KeyError or ValueError where they are not such a model's."""

    def mask_unknown(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Set the columns of items that are not known to -inf, in place."""
        scores[:, ~self.known.items] = -np.inf
        return scores


class CountedRecommender(Recommender):
    """A model that is counted in one go, where others are trained epoch after epoch."""

    @classmethod
    @abstractmethod
    def fit(cls, settings: Any, train: TrainingData, known: Known) -> Self:
        """Learn from `train`, whose ids are those that `known` says are known; neither is kept or changed."""


def exactly(arrays: Mapping[str, NDArray[Any]], *names: str) -> list[NDArray[Any]]:
    """The arrays of these names; for `from_arrays`, raises ValueError unless there are these and no others."""
    if arrays.keys() != {*names}:
        raise ValueError(f"arrays {', '.join(arrays) or 'none'}, expected {', '.join(names) or 'none'}")
    return [arrays[name] for name in names]
