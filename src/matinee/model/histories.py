"""What a model is asked about: people with their histories, ragged, as plain NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Histories"]


@dataclass(frozen=True, slots=True)
class Histories:
    """n people and what each did before the moment of asking, the oldest first; dense ids of one id map.

    Ids need not be known to the model that is asked: it has a stand-in for the cold.

    Attributes:
        users: (n,) int32; 0 for somebody without an id.
        offsets: (n + 1,) int64; the history of row r is `items[offsets[r]:offsets[r + 1]]`, and may be empty.
        items: (offsets[n],) int32.
    """

    users: NDArray[np.int32]
    offsets: NDArray[np.int64]
    items: NDArray[np.int32]

    def __len__(self) -> int:
        """How many people."""
        return self.users.size

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) events in each history."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, users: Sequence[int], histories: Sequence[Sequence[int]]) -> Self:
        """From plain lists."""
        offsets = np.zeros(len(histories) + 1, np.int64)
        np.cumsum([len(history) for history in histories], out=offsets[1:])
        items = np.array([item for history in histories for item in history], np.int32)
        return cls(np.asarray(users, np.int32), offsets, items)

    def padded(self, maxlen: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The last `maxlen` of each, padded with 0 on the right to the longest of them; (n, L) and lengths (n,)."""
        lengths = np.minimum(self.lengths, maxlen)
        width = max(1, int(lengths.max(initial=0)))
        place = np.arange(width)
        filled = place < lengths[:, None]
        start = self.offsets[1:] - lengths
        padded = np.zeros((len(self), width), np.int32)
        padded[filled] = self.items[(start[:, None] + place)[filled]]
        return padded, lengths
