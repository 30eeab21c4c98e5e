"""Text files of the splits: user<TAB>item<LF>, formatted by a kernel that writes up to four digits at a time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from matinee.etl.hashing import open_splits
from matinee.schema.layout import SPLITS, Split, text_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.schema.manifest import FileEntry

__all__ = ["TextWriter"]

_SLICE = 1 << 18  # events formatted at once
_LINE = 22  # bytes of the longest line: two int32 of ten digits, TAB and LF
_SLACK = 4  # a group of digits is always written as four bytes, so the last one may reach beyond its line


class TextWriter:
    """NAME_train.txt, NAME_eval.txt and NAME_test.txt in their folders. Used by one thread at a time."""

    def __init__(self, folder: Path, name: str, *, hashed: bool) -> None:
        self._files = open_splits(folder, lambda split: text_path(name, split), hashed=hashed)
        self._rows = dict.fromkeys(SPLITS, 0)
        self._digits, self._lengths = _digit_tables()
        self._buffer = np.empty(_SLICE * _LINE + _SLACK, np.uint8)

    def write(
        self,
        split: Split,
        user: NDArray[np.int32],
        item: NDArray[np.int32],
        rating: NDArray[np.float64],  # noqa: ARG002  # all writers take the same call
        time: NDArray[np.int64],  # noqa: ARG002  # all writers take the same call
    ) -> None:
        """The next events of a split, in order; ids are not negative; (n,) each.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        for start in range(0, user.size, _SLICE):
            part = slice(start, start + _SLICE)
            used = _format_lines(user[part], item[part], self._digits, self._lengths, self._buffer)
            self._files[split].write(self._buffer[:used].data)
        self._rows[split] += user.size

    def close(self) -> list[FileEntry]:
        """Finish the files; their entries for train, eval and test."""
        return [self._files[split].close(self._rows[split]) for split in SPLITS]

    def abort(self) -> None:
        """Let go of the files as they are."""
        for file in self._files.values():
            file.abort()


@functools.cache
def _digit_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """0..9999 as four bytes each, (20000, 4): with leading zeros first, then from the left; and their lengths."""
    padded = [f"{number:04}" for number in range(10_000)]
    plain = [f"{number:<4}" for number in range(10_000)]
    digits = np.frombuffer("".join(padded + plain).encode(), np.uint8).reshape(20_000, 4)
    lengths = np.array([len(str(number)) for number in range(10_000)], np.uint8)
    return digits, lengths


# Indexes are unsigned throughout: that spares Numba's test for negative ones.
@njit(nogil=True, cache=True)
def _format_lines(
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    digits: NDArray[np.uint8],
    lengths: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> int:
    at = np.uint64(0)
    for i in range(user.size):
        at = _format_number(np.uint32(user[i]), digits, lengths, out, at)
        out[at] = 9
        at = _format_number(np.uint32(item[i]), digits, lengths, out, at + np.uint64(1))
        out[at] = 10
        at += np.uint64(1)
    return int(at)


@njit(nogil=True, cache=True, inline="always")
def _format_number(
    number: np.uint32, digits: NDArray[np.uint8], lengths: NDArray[np.uint8], out: NDArray[np.uint8], at: np.uint64
) -> np.uint64:
    group = np.uint32(10_000)
    if number < group:
        return _head(number, digits, lengths, out, at)
    high = np.uint32(number // group)
    low = np.uint32(number - high * group)
    if high < group:
        at = _head(high, digits, lengths, out, at)
    else:
        top = np.uint32(high // group)
        at = _head(top, digits, lengths, out, at)
        _four(np.uint32(high - top * group), digits, out, at)
        at += np.uint64(4)
    _four(low, digits, out, at)
    return at + np.uint64(4)


@njit(nogil=True, cache=True, inline="always")
def _head(
    number: np.uint32, digits: NDArray[np.uint8], lengths: NDArray[np.uint8], out: NDArray[np.uint8], at: np.uint64
) -> np.uint64:
    _four(np.uint32(number + np.uint32(10_000)), digits, out, at)
    return at + np.uint64(lengths[number])


@njit(nogil=True, cache=True, inline="always")
def _four(row: np.uint32, digits: NDArray[np.uint8], out: NDArray[np.uint8], at: np.uint64) -> None:
    # All loads before all stores, so that the compiler may make one of each.
    first = digits[row, np.uint32(0)]
    second = digits[row, np.uint32(1)]
    third = digits[row, np.uint32(2)]
    fourth = digits[row, np.uint32(3)]
    out[at] = first
    out[at + np.uint64(1)] = second
    out[at + np.uint64(2)] = third
    out[at + np.uint64(3)] = fourth
