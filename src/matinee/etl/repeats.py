"""Exact repeats: events alike in user, item, rating and time; of each such group the first one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from matinee.etl.spill import Events

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Distinct", "content_part", "mark_repeats", "mix"]

_SMALL_TIE = 32  # up to here, comparing all pairs is quicker than a table


@njit(nogil=True, cache=True)
def mark_repeats(
    time: NDArray[np.int64],
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.uint64],
    keep: NDArray[np.bool_],
) -> int:
    """Clear `keep` for each event whose like came before within its tie; returns how many."""
    repeats = 0
    start = 0
    while start < time.size:
        stop = start + 1
        while stop < time.size and time[stop] == time[start]:
            stop += 1
        if 1 < stop - start <= _SMALL_TIE:
            for i in range(start + 1, stop):
                for j in range(start, i):
                    if user[i] == user[j] and item[i] == item[j] and rating[i] == rating[j]:
                        keep[i] = False
                        repeats += 1
                        break
        elif stop - start > _SMALL_TIE:
            size = 64
            while size < 2 * (stop - start):
                size *= 2
            table = np.full(size, -1, np.int64)
            for i in range(start, stop):
                slot = np.int64(_content_hash(user[i], item[i], rating[i]) & np.uint64(size - 1))
                while table[slot] >= 0:
                    j = table[slot]
                    if user[i] == user[j] and item[i] == item[j] and rating[i] == rating[j]:
                        keep[i] = False
                        repeats += 1
                        break
                    slot = (slot + 1) & (size - 1)
                else:
                    table[slot] = i
        start = stop
    return repeats


class Distinct:
    """The distinct events (user, item, rating) seen so far; grows with them."""

    def __init__(self) -> None:
        self._table = np.full(1 << 10, -1, np.int64)
        self._known = Events.empty(1 << 9)
        self._count = 0

    def repeats(self, piece: Events) -> NDArray[np.bool_]:
        """Which events of the next piece were seen before, in it or in an earlier one."""
        again = np.zeros(len(piece), np.bool_)
        done = 0
        while True:
            done, self._count = _see(
                piece.user,
                piece.item,
                piece.rating.view(np.uint64),
                done,
                again,
                self._table,
                self._known.user,
                self._known.item,
                self._known.rating.view(np.uint64),
                self._count,
            )
            if done == len(piece):
                return again
            larger = Events.empty(2 * len(self._known))
            known = len(self._known)
            larger.user[:known], larger.item[:known] = self._known.user, self._known.item
            larger.rating[:known] = self._known.rating
            self._known = larger
            self._table = np.full(2 * self._table.size, -1, np.int64)
            _rebuild(self._known.user, self._known.item, self._known.rating.view(np.uint64), self._count, self._table)


@njit(nogil=True, cache=True)
def _see(
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.uint64],
    done: int,
    again: NDArray[np.bool_],
    table: NDArray[np.int64],
    known_user: NDArray[np.uint32],
    known_item: NDArray[np.uint32],
    known_rating: NDArray[np.uint64],
    count: int,
) -> tuple[int, int]:
    mask = np.uint64(table.size - 1)
    while done < user.size:
        if count == known_user.size:
            return done, count
        slot = np.int64(_content_hash(user[done], item[done], rating[done]) & mask)
        found = False
        while table[slot] >= 0:
            j = table[slot]
            if user[done] == known_user[j] and item[done] == known_item[j] and rating[done] == known_rating[j]:
                found = True
                break
            slot = (slot + 1) & np.int64(mask)
        again[done] = found
        if not found:
            table[slot] = count
            known_user[count] = user[done]
            known_item[count] = item[done]
            known_rating[count] = rating[done]
            count += 1
        done += 1
    return done, count


@njit(nogil=True, cache=True)
def _rebuild(
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.uint64],
    count: int,
    table: NDArray[np.int64],
) -> None:
    mask = np.uint64(table.size - 1)
    for i in range(count):
        slot = np.int64(_content_hash(user[i], item[i], rating[i]) & mask)
        while table[slot] >= 0:
            slot = (slot + 1) & np.int64(mask)
        table[slot] = i


@njit(nogil=True, cache=True)
def mix(z: np.uint64) -> np.uint64:
    """The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014, figure 16)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True)
def _content_hash(user: np.uint32, item: np.uint32, rating: np.uint64) -> np.uint64:
    return mix(((np.uint64(user) << np.uint64(32)) | np.uint64(item)) ^ (rating * np.uint64(0x9E3779B97F4A7C15)))


@njit(nogil=True, cache=True)
def content_part(
    user: NDArray[np.uint32], item: NDArray[np.uint32], rating: NDArray[np.uint64], parts: int
) -> NDArray[np.int32]:
    """Which of `parts` each event belongs to, by its content: repeats share theirs; (n,) -> (n,)."""
    part = np.empty(user.size, np.int32)
    for i in range(user.size):
        # The high bits choose the part, the low ones the slot in a part's table.
        part[i] = np.int32((_content_hash(user[i], item[i], rating[i]) >> np.uint64(32)) % np.uint64(parts))
    return part
