"""Ids three times over: raw ones as they stand in the text, 32-bit codes inside the pipeline, dense ones in a version.

A code is the id itself where that is a whole number from 0 below 2^31; anything else (negative, larger, a string) is
interned, and for integers the top bit says so. Codes cost nothing on the common path and fit any id on the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from matinee.errors import SourceFormatError
from matinee.etl.interner import Interner

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["DenseIds", "RawIds"]

_INTERNED = 1 << 31
_MOST_IDS = 2**31 - 2  # dense ids are int32, 0 stays free


class RawIds:
    """Raw ids <-> codes for one column; not thread-safe where interning is needed (`needs_lock`).

    Attributes:
        integer: whether raw ids are integers.
        numbered: codes that have the dense ids 1, 2, 3, ... whatever the events say; none without a base.
    """

    def __init__(self, *, integer: bool) -> None:
        self.integer = integer
        self.numbered: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._interner = Interner()

    def number(self, values: NDArray[np.int64], text: NDArray[np.uint8]) -> None:
        """Give these ids, integers or spans into `text`, the dense ids 1, 2, 3, ..."""
        self.numbered = self.codes(values, text, [])

    def codes(
        self, values: NDArray[np.int64], text: NDArray[np.uint8], apart: list[tuple[int, bytes]]
    ) -> NDArray[np.uint32]:
        """Codes of integer ids, or of spans into `text`; `apart` are (row, string) that do not lie in the text."""
        if self.integer:
            codes = values.astype(np.uint32)
            odd = np.flatnonzero((values < 0) | (values >= _INTERNED))
            if odd.size:
                codes[odd] = self._interner.intern_words(values[odd]) | np.uint32(_INTERNED)
            return codes
        rows = np.array([row for row, _ in apart], np.int64)
        codes = np.empty(values.size, np.uint32)
        plain = np.ones(values.size, np.bool_)
        plain[rows] = False
        codes[plain] = self._interner.intern(text, values[plain])
        for row, raw in apart:
            codes[row] = self._interner.intern(np.frombuffer(raw, np.uint8), np.array([len(raw)], np.int64))[0]
        return codes

    def needs_lock(self, values: NDArray[np.int64]) -> bool:
        """Whether `codes` would touch the shared dictionary for these values."""
        return not self.integer or bool(values.size and (values.min() < 0 or values.max() >= _INTERNED))

    def raw(self, codes: NDArray[np.uint32]) -> pa.Array:
        """The raw ids of these codes, as int64 or string."""
        import pyarrow as pa  # noqa: PLC0415 - it takes as long to load as a small log does to read

        if self.integer:
            raw = codes.astype(np.int64)
            odd = np.flatnonzero(codes >= _INTERNED)
            raw[odd] = self._interner.arena.view(np.int64)[codes[odd] - _INTERNED]
            return pa.array(raw)
        offsets = pa.py_buffer(np.ascontiguousarray(self._interner.offsets))
        arena = pa.py_buffer(np.ascontiguousarray(self._interner.arena))
        strings = pa.LargeStringArray.from_buffers(len(self._interner), offsets, arena)
        return strings.take(pa.array(codes.astype(np.int64))).cast(pa.string())


class DenseIds:
    """Codes to dense ids 1, 2, 3, ..., given in the order in which codes arrive."""

    def __init__(self, largest_code: int, memory_bytes: int, numbered: NDArray[np.uint32] | None = None) -> None:
        """A table over all codes where that is small enough, else a dictionary; `numbered` are the first ids' codes."""
        first = np.empty(0, np.uint32) if numbered is None else numbered
        largest_code = max(largest_code, int(first.max(initial=0)))
        self.count = 0
        self._table: NDArray[np.int32] | None = None
        self._interner = Interner()
        if 4 * (largest_code + 1) <= max(1 << 24, memory_bytes // 8):
            self._table = np.zeros(largest_code + 1, np.int32)
            self._codes: NDArray[np.uint32] = np.empty(1 << 12, np.uint32)
        self.assign(first)

    def assign(self, codes: NDArray[np.uint32]) -> NDArray[np.int32]:
        """The dense ids of these codes, new ones given."""
        if self._table is None:
            dense = self._interner.intern_words(codes).astype(np.int32) + np.int32(1)
            self.count = len(self._interner)
        else:
            dense = np.empty(codes.size, np.int32)
            done = 0
            while True:
                done, self.count = _assign(codes, done, self._table, self._codes, self.count, dense)
                if done == codes.size:
                    break
                larger = np.empty(2 * self._codes.size, np.uint32)
                larger[: self._codes.size] = self._codes
                self._codes = larger
        if self.count > _MOST_IDS:
            raise SourceFormatError(
                f"the log has {self.count:,} distinct ids in a column, expected at most {_MOST_IDS:,}"
            )
        return dense

    def codes(self) -> NDArray[np.uint32]:
        """The code of each dense id, from id 1 on."""
        if self._table is None:
            return self._interner.arena.view(np.uint32)
        return self._codes[: self.count]


@njit(nogil=True, cache=True)
def _assign(
    codes: NDArray[np.uint32],
    done: int,
    table: NDArray[np.int32],
    by_id: NDArray[np.uint32],
    count: int,
    dense: NDArray[np.int32],
) -> tuple[int, int]:
    """Returns early, with how far it came, when `by_id` must grow."""
    for i in range(done, codes.size):
        code = codes[i]
        known = table[code]
        if known == 0:
            if count == by_id.size:
                return i, count
            by_id[count] = code
            count += 1
            known = np.int32(count)
            table[code] = known
        dense[i] = known
    return codes.size, count
