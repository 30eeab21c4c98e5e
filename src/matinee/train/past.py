"""All that each user did before a moment of a split: three memory-mapped sequences, and the kernels that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from matinee.errors import UsageError
from matinee.model.histories import Histories
from matinee.schema.layout import SPLITS
from matinee.version import Sequences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.schema.layout import Split
    from matinee.version import Version

    _Parts = tuple[tuple[NDArray[np.int64], NDArray[np.int32]], ...]

__all__ = ["Past"]

_ALL = np.iinfo(np.int64).max


class Past:
    """Histories that reach over splits: a user's train, then eval where the split is test, then the split up to now.

    What a user did after that in the same split, or in a later one, is never looked at.

    Attributes:
        own: the split's sequences.
    """

    def __init__(self, version: Version, split: Split) -> None:
        """Open the sequences.

        Raises:
            UsageError: the version was split at random: then a user's past and future lie in all splits, mixed.
        """
        if version.certificate.split == "random":
            raise UsageError(
                f"{version.folder}: split at random, so that no split comes after another and nobody has a history; "
                "evaluate on a version with --split time, ratio or leave-one-out"
            )
        self.own = version.sequences(split)
        nothing = Sequences(np.zeros(version.users + 2, np.int64), np.zeros(0, np.int32))
        earlier = [version.sequences(name) for name in SPLITS[: SPLITS.index(split)]]
        parts = [*[nothing] * (len(SPLITS) - 1 - len(earlier)), *earlier, self.own]  # always three: one type for Numba
        self._parts: _Parts = tuple(_frozen(part) for part in parts)

    def before(self, users: NDArray[np.int32], positions: NDArray[np.int64], limit: int | None = None) -> Histories:
        """The last `limit` items of each user before a position of the split, or all of them.

        Args:
            users: (n,).
            positions: (n,) events of that user in the split that come before.
            limit: None for all.
        """
        offsets = np.zeros(users.size + 1, np.int64)
        np.cumsum(_lengths(users, positions, _ALL if limit is None else limit, self._parts), out=offsets[1:])
        items = np.empty(offsets[-1], np.int32)
        _gather(users, positions, offsets, items, self._parts)
        return Histories(users, offsets, items)

    def exclude(self, users: NDArray[np.int32], positions: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Set the items of each whole history to -inf, in place; users and positions (n,), scores (n, items + 1)."""
        _exclude(users, positions, scores, self._parts)

    def repeats(
        self, users: NDArray[np.int32], positions: NDArray[np.int64], targets: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Whether each target is in its own history; (n,) each."""
        found = np.zeros(users.size, np.bool_)
        _find(users, positions, targets, found, self._parts)
        return found


def _frozen(sequences: Sequences) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The two arrays, read-only even where they are not mapped: one type for Numba, compiled once."""
    offsets, items = np.asarray(sequences.offsets).view(), np.asarray(sequences.items).view()
    offsets.flags.writeable = items.flags.writeable = False
    return offsets, items


@njit(nogil=True, cache=True, inline="always")
def _span(parts: _Parts, number: int, user: int, position: int) -> tuple[int, int]:
    """From where to where a part's items belong to the history; the last part is the split itself."""
    offsets = parts[number][0]
    start = offsets[user]
    return start, start + position if number == len(parts) - 1 else offsets[user + 1]


@njit(nogil=True, cache=True)
def _lengths(users: NDArray[np.int32], positions: NDArray[np.int64], limit: int, parts: _Parts) -> NDArray[np.int64]:
    lengths = np.zeros(users.size, np.int64)
    for row in range(users.size):
        for number in range(len(parts)):
            start, stop = _span(parts, number, users[row], positions[row])
            lengths[row] += stop - start
        lengths[row] = min(lengths[row], limit)
    return lengths


@njit(nogil=True, cache=True)
def _gather(
    users: NDArray[np.int32],
    positions: NDArray[np.int64],
    offsets: NDArray[np.int64],
    gathered: NDArray[np.int32],
    parts: _Parts,
) -> None:
    for row in range(users.size):
        first, at = offsets[row], offsets[row + 1]  # filled from the end, so that the oldest are left out
        for back in range(len(parts)):
            number = len(parts) - 1 - back
            start, stop = _span(parts, number, users[row], positions[row])
            items = parts[number][1]
            while stop > start and at > first:
                stop -= 1
                at -= 1
                gathered[at] = items[stop]


@njit(nogil=True, cache=True)
def _exclude(
    users: NDArray[np.int32], positions: NDArray[np.int64], scores: NDArray[np.float32], parts: _Parts
) -> None:
    for row in range(users.size):
        for number in range(len(parts)):
            start, stop = _span(parts, number, users[row], positions[row])
            items = parts[number][1]
            for at in range(start, stop):
                scores[row, items[at]] = -np.inf


@njit(nogil=True, cache=True)
def _find(
    users: NDArray[np.int32],
    positions: NDArray[np.int64],
    targets: NDArray[np.int32],
    found: NDArray[np.bool_],
    parts: _Parts,
) -> None:
    for row in range(users.size):
        for number in range(len(parts)):
            start, stop = _span(parts, number, users[row], positions[row])
            items = parts[number][1]
            for at in range(start, stop):
                if items[at] == targets[row]:
                    found[row] = True
                    break
