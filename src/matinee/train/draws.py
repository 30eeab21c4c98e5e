"""The paper's negatives: for each user, items drawn at random that the user never took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matinee.errors import UsageError
from matinee.train.past import Past

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.version import Version

__all__ = ["Negatives"]


class Negatives:
    """Uniform draws, with replacement as in the published programs, from 1..items without all of the user's items.

    All means in train, eval and test together. A user's draws depend on the seed and on the user's id alone, not on who
    else is asked about: NumPy's Philox is a function of a key.
    """

    def __init__(self, version: Version, number: int, seed: int) -> None:
        self._number, self._seed, self._items = number, seed, version.items
        self._past = Past(version, "test")
        self._folder = version.folder

    def of(self, users: NDArray[np.int32]) -> NDArray[np.int32]:
        """The draws of each user; (n,) -> (n, number).

        Raises:
            UsageError: somebody has taken everything, so that there is nothing to draw.
        """
        lengths = np.diff(self._past.own.offsets)[users]
        taken = self._past.before(users, lengths)
        drawn = np.empty((users.size, self._number), np.int32)
        for row, user in enumerate(users):
            mine = np.unique(taken.items[taken.offsets[row] : taken.offsets[row + 1]])
            free = self._items - mine.size
            if not free:
                raise UsageError(
                    f"{self._folder}: user {user} has taken all {self._items:,} items, so there are no others to draw; "
                    "rank the whole catalogue (--negatives 0)"
                )
            chance = np.random.Generator(np.random.Philox(key=[self._seed, user]))
            order = chance.integers(0, free, self._number)
            # The free ids below mine[i] are mine[i] - 1 - i; so many of mine come before the free id number `order`.
            drawn[row] = order + 1 + np.searchsorted(mine - np.arange(1, mine.size + 1), order, side="right")
        return drawn
