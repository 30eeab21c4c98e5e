"""Events on their way between the text and their order: runs of packed bytes, cut by bucket, on disk when they must.

A run is what one chunk of text gave: its events grouped by bucket, in input order within each. Consecutive buckets are
read by collecting their part of every run. Three things are decided run by run, so that nothing needs to be known in
advance: where time starts, which ratings occur, and whether twelve bytes an event suffice or it takes twenty-four.
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

__all__ = ["Events", "NarrowPart", "PackedRun", "Spill", "TimeBuckets", "pack", "pack_coded"]

_NARROW_RATINGS = 64  # six bits
_NARROW_ITEMS = 1 << 26  # the other twenty-six of the same word
_INTERNED = 1 << 31  # from here on an id is no code of its own (see ids)
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


class TimeBuckets:
    """Which bucket a time belongs to: as many as there are bounds at or below it."""

    def __init__(self, bounds: NDArray[np.int64]) -> None:
        """`bounds` ascend; none make one bucket of all times."""
        self.bounds = bounds
        self.count = bounds.size + 1
        self._first, self._shift, self._table = _lookup_table(bounds) if bounds.size else (0, 0, np.zeros(1, np.int32))

    def of(self, time: NDArray[np.int64]) -> NDArray[np.integer]:
        """The bucket of each time; (n,) -> (n,)."""
        buckets: NDArray[np.integer] = np.zeros(time.size, np.uint16 if self.count <= 1 << 16 else np.int32)
        if self.bounds.size:
            _bucket_times(time, self.bounds, self._first, self._shift, self._table, buckets)
        return buckets


@dataclass(frozen=True, slots=True)
class PackedRun:
    """One run: its words, where each bucket's events begin (in events, one more than buckets), and how to unpack.

    Attributes:
        words: uint32 (3 an event) when narrow, uint64 (3 an event) when wide.
        starts: (buckets + 1,) first event of each bucket.
        ratings: what narrow rating codes mean; empty for a wide run.
        first, last: smallest and largest time; narrow times count from `first`.
        largest_user, largest_item: of the codes.
    """

    words: NDArray[np.uint32] | NDArray[np.uint64]
    starts: NDArray[np.int32]
    ratings: NDArray[np.float64]
    first: int
    last: int
    largest_user: int
    largest_item: int

    def __len__(self) -> int:
        return self.words.size // 3


@dataclass(frozen=True, slots=True)
class NarrowPart:
    """Some consecutive buckets of all runs, still packed, for whoever can sort them so.

    Attributes:
        words: uint32, 3 an event: run after run, in each of them bucket after bucket.
        starts: (runs, buckets + 1) where each bucket's events begin in `words`, in events.
        bases: (runs,) what times count from.
        codes: (runs, 64) what each run's rating codes are in `ratings`.
        ratings: (64,) of the whole spill.
        low, high: (buckets,) times between which each bucket's lie, both included.
    """

    words: NDArray[np.uint32]
    starts: NDArray[np.int64]
    bases: NDArray[np.int64]
    codes: NDArray[np.uint8]
    ratings: NDArray[np.float64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A run in the spill: its words in memory, or where they lie in the file."""

    words: NDArray[np.uint32] | NDArray[np.uint64] | None
    offset: int
    starts: NDArray[np.int32]
    base: int
    ratings: NDArray[np.float64]

    @property
    def bytes_an_event(self) -> int:
        return 12 if self.ratings.size else 24


class Spill:
    """Runs of packed events, `memory_bytes` of them in memory, the others in an unnamed file in `folder`.

    The file has no name from the start, so that a killed process leaves nothing behind.
    """

    def __init__(self, buckets: TimeBuckets | int, folder: Path, memory_bytes: int) -> None:
        """`buckets` is their number alone where something else than time decides on them."""
        self.buckets = buckets if isinstance(buckets, int) else buckets.count
        self.counts: NDArray[np.int64] = np.zeros(self.buckets, np.int64)
        self._bounds = None if isinstance(buckets, int) else buckets.bounds
        self._folder = folder
        self._memory_left = memory_bytes
        self._runs: list[_Stored] = []
        self._file: int | None = None
        self._file_size = 0
        self._first, self._last = 2**63 - 1, -(2**63)
        self._ratings: list[float] | None = []  # of all runs; None when a run is wide, or there are too many
        self._codes: list[NDArray[np.uint8]] = []  # of each run's ratings among those
        self._gathered: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint8]] | None = None

    def append(self, run: PackedRun) -> None:
        """Add a run after all others.

        Raises:
            OSError: the temporary folder is full, or cannot be written.
        """
        if not len(run):
            return
        words: NDArray[np.uint32] | NDArray[np.uint64] | None = run.words
        offset = 0
        if run.words.nbytes <= self._memory_left:
            self._memory_left -= run.words.nbytes
        else:
            words = None
            offset = self._write(run.words)
        self._runs.append(_Stored(words, offset, run.starts, run.first, run.ratings))
        self._first, self._last = min(self._first, run.first), max(self._last, run.last)
        self._code_ratings(run.ratings)
        self._gathered = None
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

    def part(self, first: int, last: int) -> Events:
        """The events of the buckets first..last-1, all at once; those of one bucket are in input order."""
        events = Events.empty(int(self.counts[first:last].sum()))
        filled = 0
        for run in self._runs:
            start, stop = int(run.starts[first]), int(run.starts[last])
            if stop > start:
                self._unpack(run, start, stop, events.part(filled, filled + stop - start))
                filled += stop - start
        self._check_all(filled, len(events))
        return events

    def narrow_part(self, first: int, last: int) -> NarrowPart | None:
        """The same as they are packed; None where a run is wide, ratings are many, or a bucket spans 2^32 seconds."""
        if self._ratings is None or self._bounds is None:
            return None
        low = np.empty(last - first, np.int64)
        high = np.empty(last - first, np.int64)
        low[1:] = self._bounds[first : last - 1]
        high[:-1] = low[1:] - 1
        low[0] = self._bounds[first - 1] if first else self._first
        high[-1] = self._bounds[last - 1] - 1 if last < self.buckets else self._last
        if any(int(to) - int(since) >= _NARROW_TIME for since, to in zip(low, high, strict=True)):
            return None
        if self._gathered is None:
            bases = np.array([run.base for run in self._runs], np.int64)
            self._gathered = np.stack([run.starts for run in self._runs]), bases, np.stack(self._codes)
        all_starts, bases, codes = self._gathered
        starts = all_starts[:, first : last + 1].astype(np.int64)
        sizes = starts[:, -1] - starts[:, 0]
        begins = np.cumsum(sizes) - sizes
        words = np.empty(3 * int(self.counts[first:last].sum()), np.uint32)
        self._check_all(3 * int(sizes.sum()), words.size)
        places = zip(starts[:, 0].tolist(), sizes.tolist(), begins.tolist(), strict=True)
        for run, (start, size, begin) in zip(self._runs, places, strict=True):
            into = words[3 * begin : 3 * (begin + size)]
            if run.words is not None:
                into[:] = run.words[3 * start : 3 * (start + size)]
            else:
                self._read(into.view(np.uint8), run.offset + 12 * start)
        starts += (begins - starts[:, 0])[:, None]
        ratings = np.full(_NARROW_RATINGS, np.nan)
        ratings[: len(self._ratings)] = self._ratings
        return NarrowPart(words, starts, bases, codes, ratings, low, high)

    def run(self, number: int) -> Events:
        """The events of one run that had any, in the order in which they were packed."""
        run = self._runs[number]
        events = Events.empty(int(run.starts[-1]))
        self._unpack(run, 0, len(events), events)
        return events

    def close(self) -> None:
        """Give memory and disk back."""
        self._runs.clear()
        self._gathered = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _check_all(self, got: int, expected: int) -> None:
        if got != expected:
            raise OSError(f"the spill in {self._folder} was closed before it was read")

    def _code_ratings(self, ratings: NDArray[np.float64]) -> None:
        """Find a run's ratings among those of all runs, or add them."""
        if self._ratings is None:
            return
        known = {repr(rating): code for code, rating in enumerate(self._ratings)}  # by text: NaN equals itself there
        codes = np.zeros(_NARROW_RATINGS, np.uint8)
        for code, rating in enumerate(ratings.tolist()):
            if repr(rating) not in known:
                known[repr(rating)] = len(known)
                self._ratings.append(rating)
            codes[code] = min(known[repr(rating)], 255)
        self._codes.append(codes)
        if not ratings.size or len(self._ratings) > _NARROW_RATINGS:
            self._ratings = None

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


def pack(events: Events, bucket: NDArray[np.integer], buckets: int) -> PackedRun:
    """Group events by bucket, keeping their order within each, and pack them as tightly as they allow."""
    starts = _starts(bucket, buckets)
    if not len(events):
        return PackedRun(np.empty(0, np.uint64), starts, np.empty(0, np.float64), 0, 0, 0, 0)
    facts = int(events.time.min()), int(events.time.max()), int(events.user.max()), int(events.item.max())
    first, last, _, largest_item = facts
    ratings = np.empty(_NARROW_RATINGS, np.float64)
    codes = np.empty(len(events), np.uint8)
    found = -1
    if last - first < _NARROW_TIME and largest_item < _NARROW_ITEMS:
        found = _code_ratings(events.rating, ratings, codes)
    if found < 0:
        wide = np.empty(3 * len(events), np.uint64)
        _pack_wide(events.user, events.item, events.rating, events.time, bucket, starts[:-1].copy(), wide)
        return PackedRun(wide, starts, np.empty(0, np.float64), *facts)
    narrow = np.empty(3 * len(events), np.uint32)
    _pack_narrow(events.user, events.item, codes, events.time, first, bucket, starts[:-1].copy(), narrow)
    return PackedRun(narrow, starts, ratings[:found].copy(), *facts)


def pack_coded(
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    codes: NDArray[np.uint8],
    ratings: NDArray[np.float64],
    time: NDArray[np.int64],
    buckets: TimeBuckets,
) -> PackedRun | None:
    """The same straight from what was parsed, where ids are codes of their own and all is narrow; otherwise None."""
    if not user.size:
        return None
    first, last, largest_user, largest_item = _extremes(user, item, time)
    plain = 0 <= largest_user < _INTERNED and 0 <= largest_item < _NARROW_ITEMS
    if not plain or last - first >= _NARROW_TIME:
        return None
    bucket = buckets.of(time)
    starts = _starts(bucket, buckets.count)
    words = np.empty(3 * user.size, np.uint32)
    _pack_narrow(user, item, codes, time, first, bucket, starts[:-1].copy(), words)
    return PackedRun(words, starts, ratings, first, last, largest_user, largest_item)


def _lookup_table(bounds: NDArray[np.int64]) -> tuple[int, int, NDArray[np.int32]]:
    """Cells of 2^shift seconds from `first` on, each with the number of bounds at or below its start."""
    first, last = int(bounds[0]), int(bounds[-1])
    shift = max(0, (last - first).bit_length() - 13)
    # Cell starts stay at or below the last bound, so they cannot leave int64.
    cells = ((last - first) >> shift) + 1
    starts = first + (np.arange(cells, dtype=np.int64) << shift)
    return first, shift, np.searchsorted(bounds, starts, side="right").astype(np.int32)


@njit(nogil=True, cache=True)
def _bucket_times(
    time: NDArray[np.int64],
    bounds: NDArray[np.int64],
    first: int,
    shift: int,
    table: NDArray[np.int32],
    buckets: NDArray[np.integer],
) -> None:
    last = bounds[-1]
    for i in range(time.size):
        t = time[i]
        if t < first:
            b = np.int64(0)
        elif t >= last:
            b = np.int64(bounds.size)
        else:
            # first <= t < last: the difference is below 2^64, so it is taken unsigned.
            b = np.int64(table[(np.uint64(t) - np.uint64(first)) >> np.uint64(shift)])
            while bounds[b] <= t:
                b += 1
        buckets[i] = b


@njit(nogil=True, cache=True)
def _extremes(user: NDArray[np.int64], item: NDArray[np.int64], time: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Smallest and largest time, largest user and item; these are -1 where one is negative."""
    first = last = time[0]
    largest_user = largest_item = signs = np.int64(0)
    for i in range(time.size):
        first, last = min(first, time[i]), max(last, time[i])
        largest_user, largest_item = max(largest_user, user[i]), max(largest_item, item[i])
        signs |= user[i] | item[i]
    if signs < 0:
        largest_user = largest_item = np.int64(-1)
    return int(first), int(last), int(largest_user), int(largest_item)


@njit(nogil=True, cache=True)
def _starts(bucket: NDArray[np.integer], buckets: int) -> NDArray[np.int32]:
    starts = np.zeros(buckets + 1, np.int32)
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
    user: NDArray[np.integer],
    item: NDArray[np.integer],
    code: NDArray[np.uint8],
    time: NDArray[np.int64],
    base: int,
    bucket: NDArray[np.integer],
    cursor: NDArray[np.int32],
    words: NDArray[np.uint32],
) -> None:
    for i in range(user.size):
        b = np.uint64(bucket[i])  # unsigned indexes spare Numba's test for negative ones
        to = np.uint64(3) * np.uint64(cursor[b])
        cursor[b] += np.int32(1)
        words[to] = np.uint32(user[i])
        words[to + np.uint64(1)] = (np.uint32(item[i]) << np.uint32(6)) | np.uint32(code[i])
        words[to + np.uint64(2)] = np.uint32(time[i] - base)


@njit(nogil=True, cache=True)
def _pack_wide(
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
    bucket: NDArray[np.integer],
    cursor: NDArray[np.int32],
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
