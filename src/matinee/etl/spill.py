"""Events on their way between the text and their order: runs of packed bytes, cut by bucket, on disk when they must.

A run is what one chunk of text gave: its events grouped by bucket, in input order within each. A bucket is read by
collecting its part of every run. Three things are decided run by run, so that nothing needs to be known in advance:
where time starts, which ratings occur, and whether twelve bytes an event suffice or it takes twenty-four.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Events", "PackedRun", "Spill", "bucket_of_times", "pack"]

_NARROW_RATINGS = 64  # six bits
_NARROW_ITEMS = 1 << 26  # the other twenty-six of the same word
_NARROW_TIME = 1 << 32


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of equal length: id codes, ratings (NaN where there is none) and Unix seconds."""

    user: NDArray[np.uint32]
    item: NDArray[np.uint32]
    rating: NDArray[np.float64]
    time: NDArray[np.int64]

    @classmethod
    def empty(cls, size: int) -> Events:
        """Room for `size` events."""
        return cls(
            np.empty(size, np.uint32), np.empty(size, np.uint32), np.empty(size, np.float64), np.empty(size, np.int64)
        )

    def part(self, start: int, stop: int) -> Events:
        """The events start..stop, without a copy."""
        whole = slice(start, stop)
        return Events(self.user[whole], self.item[whole], self.rating[whole], self.time[whole])

    def take(self, which: NDArray[np.generic]) -> Events:
        """The events at these positions, or where this mask holds."""
        return Events(self.user[which], self.item[which], self.rating[which], self.time[which])

    def __len__(self) -> int:
        return self.user.size


@dataclass(frozen=True, slots=True)
class PackedRun:
    """One run: its words, where each bucket's events begin (in events, one more than buckets), and how to unpack.

    Attributes:
        words: uint32 (3 an event) when narrow, uint64 (3 an event) when wide.
        starts: (buckets + 1,) first event of each bucket.
        base: what narrow times count from.
        ratings: what narrow rating codes mean; empty for a wide run.
    """

    words: NDArray[np.uint32] | NDArray[np.uint64]
    starts: NDArray[np.int64]
    base: int
    ratings: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A run in the spill: its words in memory, or where they lie in the file."""

    words: NDArray[np.uint32] | NDArray[np.uint64] | None
    offset: int
    starts: NDArray[np.int64]
    base: int
    ratings: NDArray[np.float64]

    @property
    def bytes_an_event(self) -> int:
        return 12 if self.ratings.size else 24


class Spill:
    """Runs of packed events, `memory_bytes` of them in memory, the others in an unnamed file in `folder`.

    The file has no name from the start, so that a killed process leaves nothing behind.
    """

    def __init__(self, buckets: int, folder: Path, memory_bytes: int) -> None:
        self.buckets = buckets
        self.counts: NDArray[np.int64] = np.zeros(buckets, np.int64)
        self._folder = folder
        self._memory_left = memory_bytes
        self._runs: list[_Stored] = []
        self._file: int | None = None
        self._file_size = 0

    def append(self, run: PackedRun) -> None:
        """Add a run after all others.

        Raises:
            OSError: the temporary folder is full, or cannot be written.
        """
        words: NDArray[np.uint32] | NDArray[np.uint64] | None = run.words
        offset = 0
        if run.words.nbytes <= self._memory_left:
            self._memory_left -= run.words.nbytes
        else:
            words = None
            offset = self._write(run.words)
        self._runs.append(_Stored(words, offset, run.starts, run.base, run.ratings))
        self.counts += np.diff(run.starts)

    def pieces(self, bucket: int, most: int) -> Iterator[Events]:
        """A bucket's events in input order, at most `most` at a time."""
        for run in self._runs:
            start, stop = int(run.starts[bucket]), int(run.starts[bucket + 1])
            for first in range(start, stop, most):
                last = min(first + most, stop)
                events = Events.empty(last - first)
                self._unpack(run, first, last, events)
                yield events

    def bucket(self, bucket: int) -> Events:
        """A bucket's events in input order, all at once."""
        events = Events.empty(int(self.counts[bucket]))
        filled = 0
        for run in self._runs:
            start, stop = int(run.starts[bucket]), int(run.starts[bucket + 1])
            if stop > start:
                self._unpack(run, start, stop, events.part(filled, filled + stop - start))
                filled += stop - start
        if filled != len(events):
            raise OSError(f"the spill in {self._folder} was closed before it was read")
        return events

    def run(self, number: int) -> Events:
        """The events of one run, in the order in which they were packed."""
        run = self._runs[number]
        events = Events.empty(int(run.starts[-1]))
        self._unpack(run, 0, len(events), events)
        return events

    def close(self) -> None:
        """Give memory and disk back."""
        self._runs.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, words: NDArray[np.uint32] | NDArray[np.uint64]) -> int:
        if self._file is None:
            with tempfile.TemporaryFile(dir=self._folder, prefix="matinee-spill-") as unnamed:
                self._file = os.dup(unnamed.fileno())
        offset = self._file_size
        rest = words.view(np.uint8).data
        while rest:
            written = os.pwrite(self._file, rest, self._file_size)
            self._file_size += written
            rest = rest[written:]
        return offset

    def _unpack(self, run: _Stored, start: int, stop: int, out: Events) -> None:
        if run.words is not None:
            words = run.words[3 * start : 3 * stop]
        else:
            width = run.bytes_an_event
            text = np.empty((stop - start) * width, np.uint8)
            self._read(text, run.offset + start * width)
            words = text.view(np.uint32) if run.ratings.size else text.view(np.uint64)
        if run.ratings.size:
            _unpack_narrow(words.view(np.uint32), run.base, run.ratings, out.user, out.item, out.rating, out.time)
        else:
            _unpack_wide(words.view(np.uint64), out.user, out.item, out.rating, out.time)

    def _read(self, into: NDArray[np.uint8], offset: int) -> None:
        if self._file is None:
            raise OSError("the spill is closed")
        rest = into.data
        while rest:
            got = os.preadv(self._file, [rest], offset)
            if not got:
                raise OSError(f"the spill in {self._folder} ends early")
            offset += got
            rest = rest[got:]


def bucket_of_times(time: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.int32]:
    """The bucket of each time: how many bounds are at most it; bounds ascend; (n,) -> (n,)."""
    buckets = np.empty(time.size, np.int32)
    if bounds.size == 0:
        buckets.fill(0)
    else:
        first, shift, table = _lookup_table(bounds)
        _bucket_of_times(time, bounds, first, shift, table, buckets)
    return buckets


def pack(events: Events, bucket: NDArray[np.int32], buckets: int) -> PackedRun:
    """Group events by bucket, keeping their order within each, and pack them as tightly as they allow."""
    starts = _starts(bucket, buckets)
    base = int(events.time.min()) if len(events) else 0
    ratings = np.empty(_NARROW_RATINGS, np.float64)
    codes = np.empty(len(events), np.uint8)
    found = -1
    if len(events) and int(events.time.max()) - base < _NARROW_TIME and int(events.item.max()) < _NARROW_ITEMS:
        found = _code_ratings(events.rating, ratings, codes)
    if found < 0:
        wide = np.empty(3 * len(events), np.uint64)
        _pack_wide(events.user, events.item, events.rating, events.time, bucket, starts[:-1].copy(), wide)
        return PackedRun(wide, starts, 0, np.empty(0, np.float64))
    narrow = np.empty(3 * len(events), np.uint32)
    _pack_narrow(events.user, events.item, codes, events.time, base, bucket, starts[:-1].copy(), narrow)
    return PackedRun(narrow, starts, base, ratings[:found].copy())


def _lookup_table(bounds: NDArray[np.int64]) -> tuple[int, int, NDArray[np.int32]]:
    """Cells of 2^shift seconds from `first` on, each with the number of bounds at or below its start."""
    first, last = int(bounds[0]), int(bounds[-1])
    shift = max(0, (last - first).bit_length() - 12)
    # Cell starts stay at or below the last bound, so they cannot leave int64.
    cells = ((last - first) >> shift) + 1
    starts = first + (np.arange(cells, dtype=np.int64) << shift)
    return first, shift, np.searchsorted(bounds, starts, side="right").astype(np.int32)


@njit(nogil=True, cache=True)
def _bucket_of_times(
    time: NDArray[np.int64],
    bounds: NDArray[np.int64],
    first: int,
    shift: int,
    table: NDArray[np.int32],
    buckets: NDArray[np.int32],
) -> None:
    last = bounds[-1]
    for i in range(time.size):
        t = time[i]
        if t < first:
            buckets[i] = 0
        elif t >= last:
            buckets[i] = bounds.size
        else:
            # first <= t < last: the difference is below 2^64, so it is taken unsigned.
            b = table[np.int64((np.uint64(t) - np.uint64(first)) >> np.uint64(shift))]
            while bounds[b] <= t:
                b += 1
            buckets[i] = b


@njit(nogil=True, cache=True)
def _starts(bucket: NDArray[np.int32], buckets: int) -> NDArray[np.int64]:
    starts = np.zeros(buckets + 1, np.int64)
    for i in range(bucket.size):
        starts[bucket[i] + 1] += 1
    for b in range(buckets):
        starts[b + 1] += starts[b]
    return starts


@njit(nogil=True, cache=True)
def _code_ratings(rating: NDArray[np.float64], ratings: NDArray[np.float64], codes: NDArray[np.uint8]) -> int:
    """Number the distinct ratings; -1 when there are more than a code can hold."""
    found = 0
    last = 0
    for i in range(rating.size):
        value = rating[i]
        if found == 0 or not (ratings[last] == value or (np.isnan(value) and np.isnan(ratings[last]))):
            last = 0
            while last < found and not (ratings[last] == value or (np.isnan(value) and np.isnan(ratings[last]))):
                last += 1
            if last == found:
                if found == ratings.size:
                    return -1
                ratings[found] = value
                found += 1
        codes[i] = last
    return found


@njit(nogil=True, cache=True)
def _pack_narrow(
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    code: NDArray[np.uint8],
    time: NDArray[np.int64],
    base: int,
    bucket: NDArray[np.int32],
    cursor: NDArray[np.int64],
    words: NDArray[np.uint32],
) -> None:
    for i in range(user.size):
        to = cursor[bucket[i]]
        cursor[bucket[i]] = to + 1
        words[3 * to] = user[i]
        words[3 * to + 1] = (item[i] << np.uint32(6)) | np.uint32(code[i])
        words[3 * to + 2] = np.uint32(time[i] - base)


@njit(nogil=True, cache=True)
def _pack_wide(
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
    bucket: NDArray[np.int32],
    cursor: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> None:
    bits = rating.view(np.uint64)
    for i in range(user.size):
        to = cursor[bucket[i]]
        cursor[bucket[i]] = to + 1
        words[3 * to] = (np.uint64(user[i]) << np.uint64(32)) | np.uint64(item[i])
        words[3 * to + 1] = np.uint64(time[i])
        words[3 * to + 2] = bits[i]


@njit(nogil=True, cache=True)
def _unpack_narrow(
    words: NDArray[np.uint32],
    base: int,
    ratings: NDArray[np.float64],
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
) -> None:
    for i in range(user.size):
        user[i] = words[3 * i]
        second = words[3 * i + 1]
        item[i] = second >> np.uint32(6)
        rating[i] = ratings[second & np.uint32(63)]
        time[i] = base + np.int64(words[3 * i + 2])


@njit(nogil=True, cache=True)
def _unpack_wide(
    words: NDArray[np.uint64],
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
) -> None:
    bits = rating.view(np.uint64)
    for i in range(user.size):
        user[i] = np.uint32(words[3 * i] >> np.uint64(32))
        item[i] = np.uint32(words[3 * i])
        time[i] = np.int64(words[3 * i + 1])
        bits[i] = words[3 * i + 2]
