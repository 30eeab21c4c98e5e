"""Byte strings to small numbers, in order of first arrival: the dictionary behind string ids and sparse integer ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LENGTH_BITS", "Interner"]

_Scalar = TypeVar("_Scalar", bound=np.generic)

LENGTH_BITS = 21  # a span packs (offset << LENGTH_BITS) | length; lines are at most 1 MiB long


class Interner:
    """A growing map of byte strings to 0, 1, 2, ...; open addressing over one arena of bytes. Not thread-safe."""

    def __init__(self) -> None:
        self._slots: NDArray[np.int32] = np.full(1 << 10, -1, np.int32)
        self._hashes: NDArray[np.uint64] = np.zeros(1 << 9, np.uint64)
        self._offsets: NDArray[np.int64] = np.zeros((1 << 9) + 1, np.int64)
        self._arena: NDArray[np.uint8] = np.zeros(1 << 14, np.uint8)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each string begins in `arena`, and where the last ends; (len + 1,)."""
        return self._offsets[: self._count + 1]

    @property
    def arena(self) -> NDArray[np.uint8]:
        """All strings, one after the other."""
        return self._arena[: self._offsets[self._count]]

    def intern(self, text: NDArray[np.uint8], spans: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The numbers of the strings at `spans` in `text`, new ones added; spans (n,) -> (n,)."""
        numbers = np.empty(spans.size, np.uint32)
        done = 0
        while True:
            done, self._count = _intern(
                text, spans, done, numbers, self._slots, self._hashes, self._offsets, self._arena, self._count
            )
            if done == spans.size:
                return numbers
            self._grow(int(spans[done]) & ((1 << LENGTH_BITS) - 1))

    def intern_words(self, words: NDArray[np.generic]) -> NDArray[np.uint32]:
        """The same for fixed-width values (int64 ids, uint32 codes), each taken as its bytes; (n,) -> (n,)."""
        width = words.dtype.itemsize
        spans = (np.arange(words.size, dtype=np.int64) * width << LENGTH_BITS) | width
        return self.intern(np.ascontiguousarray(words).view(np.uint8), spans)

    def _grow(self, length: int) -> None:
        """Make room for at least one more string of `length` bytes."""
        used = int(self._offsets[self._count])
        if used + length > self._arena.size:
            self._arena = _resized(self._arena, max(2 * self._arena.size, used + length))
        if self._count + 1 > self._hashes.size:
            self._hashes = _resized(self._hashes, 2 * self._hashes.size)
            self._offsets = _resized(self._offsets, self._hashes.size + 1)
            self._slots = np.full(2 * self._slots.size, -1, np.int32)
            _reinsert(self._slots, self._hashes, self._count)


def _resized(array: NDArray[_Scalar], size: int) -> NDArray[_Scalar]:
    larger = np.zeros(size, array.dtype)
    larger[: array.size] = array
    return larger


@njit(nogil=True, cache=True)
def _hash(text: NDArray[np.uint8], start: int, length: int) -> np.uint64:
    """FNV-1a, finished by a multiply-shift so that the low bits depend on all bytes."""
    value = np.uint64(0xCBF29CE484222325)
    for at in range(start, start + length):
        value = (value ^ np.uint64(text[at])) * np.uint64(0x100000001B3)
    value ^= value >> np.uint64(32)
    return value * np.uint64(0x9E3779B97F4A7C15)


@njit(nogil=True, cache=True)
def _intern(
    text: NDArray[np.uint8],
    spans: NDArray[np.int64],
    done: int,
    numbers: NDArray[np.uint32],
    slots: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    arena: NDArray[np.uint8],
    count: int,
) -> tuple[int, int]:
    """Intern from span `done` on; returns early, with how far it came, when something must grow."""
    mask = np.uint64(slots.size - 1)
    while done < spans.size:
        start = spans[done] >> LENGTH_BITS
        length = spans[done] & ((1 << LENGTH_BITS) - 1)
        value = _hash(text, start, length)
        slot = (value >> np.uint64(20)) & mask
        number = np.int64(-1)
        while slots[slot] >= 0:
            candidate = slots[slot]
            begin = offsets[candidate]
            if hashes[candidate] == value and offsets[candidate + 1] - begin == length:
                same = True
                for at in range(length):
                    if arena[begin + at] != text[start + at]:
                        same = False
                        break
                if same:
                    number = np.int64(candidate)
                    break
            slot = (slot + np.uint64(1)) & mask
        if number < 0:
            begin = offsets[count]
            if count + 1 > hashes.size or begin + length > arena.size:
                return done, count
            number = np.int64(count)
            for at in range(length):
                arena[begin + at] = text[start + at]
            offsets[count + 1] = begin + length
            hashes[count] = value
            slots[slot] = np.int32(count)
            count += 1
        numbers[done] = np.uint32(number)
        done += 1
    return done, count


@njit(nogil=True, cache=True)
def _reinsert(slots: NDArray[np.int32], hashes: NDArray[np.uint64], count: int) -> None:
    mask = np.uint64(slots.size - 1)
    for number in range(count):
        slot = (hashes[number] >> np.uint64(20)) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = np.int32(number)
