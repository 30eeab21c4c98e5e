"""Which items lead to which, and how strongly: the sparse table that `markov` and `item-knn` have learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LINK_ARRAYS", "Links"]

LINK_ARRAYS: Final = ("link_offsets", "link_items", "link_weights")


@dataclass(frozen=True, slots=True)
class Links:
    """Compressed sparse rows: item i leads to `items[offsets[i]:offsets[i + 1]]`, each of them once.

    Attributes:
        offsets: (rows + 1,) int64; rows is the largest known item id + 1, and item 0 leads nowhere.
        items: (links,) int32.
        weights: (links,) float32, finite.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def of_sorted(cls, sources: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any], rows: int) -> Self:
        """From (links,) each, already in order of their sources."""
        offsets = np.zeros(rows + 1, np.int64)
        np.cumsum(np.bincount(sources, minlength=rows), out=offsets[1:])
        return cls(offsets, targets.astype(np.int32), weights.astype(np.float32))

    @property
    def rows(self) -> int:
        """The largest known item id + 1."""
        return self.offsets.size - 1

    def inside(self, items: NDArray[np.int32]) -> NDArray[np.int32]:
        """Ids beyond the table become 0: they are cold, and nothing is known to follow them; any shape."""
        return np.where(items < self.rows, items, 0)

    def sources(self) -> NDArray[np.int64]:
        """(links,) the item that each link leaves."""
        return np.repeat(np.arange(self.rows), np.diff(self.offsets))

    def leaving(self, items: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """All links that leave `items` (m,), ids inside the table, one item after the other.

        Returns:
            (found,) each: the place in `items`, the item it leads to, the weight.
        """
        first = self.offsets[items]
        count = self.offsets[items + 1] - first
        place = np.repeat(np.arange(items.size), count)
        # A link's position: where its item's links begin, plus how many of them came before it.
        position = np.arange(place.size) + np.repeat(first - (np.cumsum(count) - count), count)
        return place, self.items[position], self.weights[position]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The three arrays by name, for a checkpoint."""
        return dict(zip(LINK_ARRAYS, (self.offsets, self.items, self.weights), strict=True))

    @classmethod
    def checked(cls, rows: int, offsets: NDArray[Any], items: NDArray[Any], weights: NDArray[Any]) -> Self:
        """Links from arrays that anybody may have written.

        Raises:
            ValueError: they are not the links of `rows` items.
        """
        if offsets.dtype != np.int64 or items.dtype != np.int32 or weights.dtype != np.float32:
            raise ValueError(
                f"links of {offsets.dtype}, {items.dtype}, {weights.dtype}, expected int64, int32, float32"
            )
        if offsets.shape != (rows + 1,) or items.ndim != 1 or weights.shape != items.shape:
            raise ValueError(f"links of shapes {offsets.shape}, {items.shape}, {weights.shape}, expected {rows} rows")
        if offsets[0] != 0 or offsets[-1] != items.size or (np.diff(offsets) < 0).any():
            raise ValueError("link_offsets do not divide the links")
        if items.size and not 0 < items.min() <= items.max() < rows:
            raise ValueError(f"link_items lead outside of 1..{rows - 1}")
        if not np.isfinite(weights).all():
            raise ValueError("link_weights are not all finite")
        return cls(offsets, items, weights)
