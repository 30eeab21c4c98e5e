"""Chronological order: buckets of a spill, one after the other, sorted, without repeats, ties in their stated order.

Batches come out in order of time and hold whole ties, but for a tie that is larger than a bucket may be: that one
comes out as several batches, each `of_one_tie`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from matinee.etl.repeats import Distinct, content_part, mark_repeats, mix
from matinee.etl.spill import Events, NarrowPart, Spill, TimeBuckets, pack

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Batch", "Room", "in_order", "quantile_bounds", "shuffle_ties", "tie_keys"]

_SAMPLES_PER_BUCKET = 64
_BATCH_EVENTS = 1 << 17  # of the buckets that are sorted and handed on together
_DIGIT_BITS = 11  # of a radix sort's pass: its 2048 counts fit the first-level cache


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be held at once, and where the rest goes.

    Attributes:
        bucket_events: events sorted at once.
        folder: for what does not fit.
        memory_bytes: kept in memory of each further spill.
    """

    bucket_events: int
    folder: Path
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in order, how many exact repeats were left out of them, and whether they are a piece of one large tie."""

    events: Events
    repeats: int = 0
    of_one_tie: bool = False


def in_order(spill: Spill, room: Room) -> Generator[Batch]:
    """All events of a spill by time, ties in input order, exact repeats left out; the spill can be read again."""
    for first, last in _groups(spill.counts, min(_BATCH_EVENTS, room.bucket_events)):
        if spill.counts[first] > room.bucket_events:
            yield from _large_bucket(spill, first, room)
            continue
        packed = spill.narrow_part(first, last)
        yield _without_repeats(_sorted(spill.part(first, last)) if packed is None else _sorted_packed(packed))


def _groups(counts: NDArray[np.int64], most: int) -> Generator[tuple[int, int]]:
    """Consecutive buckets first..last-1 with at most that many events, or one with more; empty ones are left out."""
    first, total = 0, 0
    for bucket, count in enumerate(counts.tolist()):
        if total and total + count > most:
            yield first, bucket
            first, total = bucket, 0
        if not total:
            first = bucket
        total += count
    if total:
        yield first, counts.size


def shuffle_ties(batches: Iterable[Batch], seed: int, room: Room) -> Generator[Batch]:
    """The same batches with each tie in the order of its seeded hash (docs/format.md, section 5)."""
    large: Spill | None = None
    large_time, large_size = 0, 0
    for batch in batches:
        if not len(batch.events):
            yield batch  # a piece of a large tie may be all repeats: the tie is not over
            continue
        if large is not None and not (batch.of_one_tie and batch.events.time[0] == large_time):
            yield from _by_key(large, large_time, room)
            large = None
        if not batch.of_one_tie:
            order = _shuffled(batch.events.time, np.uint64(seed))
            yield Batch(batch.events.take(order), batch.repeats)
        else:
            if large is None:
                large, large_time, large_size = Spill(256, room.folder, room.memory_bytes), int(batch.events.time[0]), 0
            keys = _keys(np.uint64(seed), large_time, large_size, len(batch.events))
            keyed = replace(batch.events, time=(keys ^ np.uint64(1 << 63)).view(np.int64))
            large.append(pack(keyed, (keys >> np.uint64(56)).astype(np.int32), 256))
            large_size += len(batch.events)
            yield Batch(Events.empty(0), batch.repeats)
    if large is not None:
        yield from _by_key(large, large_time, room)


def quantile_bounds(sample: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    """At most `buckets` - 1 ascending times that divide a sample evenly; none for an empty sample."""
    if sample.size == 0 or buckets < 2:
        return np.empty(0, np.int64)
    ordered = np.sort(sample)
    at = np.arange(1, buckets) * sample.size // buckets
    return np.unique(ordered[at])


def _large_bucket(spill: Spill, bucket: int, room: Room) -> Generator[Batch]:
    """Divide a bucket again by its own times; one that is a single second is a tie as large as memory."""
    parts = int(spill.counts[bucket]) // max(1, room.bucket_events // 2) + 2
    step = max(1, int(spill.counts[bucket]) // (parts * _SAMPLES_PER_BUCKET))
    samples, low, high, seen = [], None, None, 0
    for piece in spill.pieces(bucket, room.bucket_events):
        samples.append(piece.time[-seen % step :: step])
        seen += len(piece)
        low = int(piece.time.min()) if low is None else min(low, int(piece.time.min()))
        high = int(piece.time.max()) if high is None else max(high, int(piece.time.max()))
    if low is None or high is None:
        return
    if low == high:
        yield from _large_tie(spill, bucket, room)
        return
    bounds = quantile_bounds(np.concatenate(samples), min(parts, 4096))
    # The times around the middle one are bounds as well: every part is then smaller than the whole.
    middle = int(bounds[bounds.size // 2]) if bounds.size else low
    extra = [middle] if middle > low else []
    extra += [middle + 1] if middle < high else []
    buckets = TimeBuckets(np.unique(np.concatenate([bounds, np.array(extra, np.int64)])))
    finer = Spill(buckets, room.folder, room.memory_bytes)
    try:
        for piece in spill.pieces(bucket, room.bucket_events):
            finer.append(pack(piece, buckets.of(piece.time), buckets.count))
        yield from in_order(finer, room)
    finally:
        finer.close()


def _large_tie(spill: Spill, bucket: int, room: Room) -> Generator[Batch]:
    """A single second with more events than fit: input order is its order; repeats are found part by part."""
    total = int(spill.counts[bucket])
    parts = total // max(1, room.bucket_events // 2) + 1
    by_content = Spill(parts, room.folder, room.memory_bytes)
    seen = 0
    for piece in spill.pieces(bucket, room.bucket_events):
        places = np.arange(seen, seen + len(piece), dtype=np.int64)
        part = content_part(piece.user, piece.item, piece.rating.view(np.uint64), parts)
        by_content.append(pack(replace(piece, time=places), part, parts))
        seen += len(piece)
    repeated = np.zeros((total + 7) // 8, np.uint8)
    for part_number in range(parts):
        known = Distinct()
        for piece in by_content.pieces(part_number, room.bucket_events):
            again = known.repeats(piece)
            _set_bits(repeated, piece.time[again])
    by_content.close()
    seen = 0
    for piece in spill.pieces(bucket, room.bucket_events):
        keep = ~_get_bits(repeated, seen, len(piece))
        seen += len(piece)
        events = piece.take(keep)
        yield Batch(events, len(piece) - len(events), of_one_tie=len(events) > 0)


def _by_key(large: Spill, time: int, room: Room) -> Generator[Batch]:
    """A shuffled large tie: its keys take the place of time, and in the end time takes it back."""
    for bucket in range(large.buckets):
        if not large.counts[bucket]:
            continue
        if large.counts[bucket] <= room.bucket_events:
            batches: Iterable[Batch] = [Batch(_sorted(large.part(bucket, bucket + 1)))]
        else:
            batches = _large_bucket(large, bucket, room)
        for batch in batches:
            events = replace(batch.events, time=np.full(len(batch.events), time, np.int64))
            yield Batch(events, 0, of_one_tie=True)
    large.close()


def _sorted_packed(part: NarrowPart) -> Events:
    """Unpacked and sorted by time, stably, one bucket after the other."""
    counts = (part.starts[:, 1:] - part.starts[:, :-1]).sum(axis=0)
    passes = (int((part.high - part.low).max()).bit_length() + _DIGIT_BITS - 1) // _DIGIT_BITS
    most = int(counts.max())
    events = Events.empty(int(counts.sum()))
    _sort_packed(
        part.words, part.starts, part.bases, part.codes, part.ratings, part.low, max(1, passes),
        np.empty(3 * most, np.uint32), np.empty((2, most), np.uint64),
        events.user, events.item, events.rating, events.time,
    )  # fmt: skip
    return events


@njit(nogil=True, cache=True)
def _sort_packed(
    words: NDArray[np.uint32],
    starts: NDArray[np.int64],
    bases: NDArray[np.int64],
    codes: NDArray[np.uint8],
    ratings: NDArray[np.float64],
    low: NDArray[np.int64],
    passes: int,
    local: NDArray[np.uint32],
    pairs: NDArray[np.uint64],
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
) -> None:
    """A bucket at a time, small enough for a core's cache: collect its events, sort (time, place), unpack in order."""
    counts = np.empty((3, 2048), np.int32)
    out = 0
    for bucket in range(low.size):
        counts[:] = 0
        size = np.uint64(0)
        for run in range(starts.shape[0]):
            distance = np.uint32(bases[run] - low[bucket])  # modulo 2^32, as the sum below
            for at in range(np.uint64(starts[run, bucket]), np.uint64(starts[run, bucket + 1])):
                word = np.uint64(3) * np.uint64(at)
                to = np.uint64(3) * size
                second = words[word + np.uint64(1)]
                since = np.uint32(words[word + np.uint64(2)] + distance)
                local[to] = words[word]
                local[to + np.uint64(1)] = (second & np.uint32(0xFFFFFFC0)) | np.uint32(
                    codes[run, second & np.uint32(63)]
                )
                local[to + np.uint64(2)] = since
                counts[0, since & np.uint32(2047)] += 1
                if passes > 1:
                    counts[1, (since >> np.uint32(11)) & np.uint32(2047)] += 1
                if passes > 2:
                    counts[2, since >> np.uint32(22)] += 1
                size += np.uint64(1)
        for digit in range(passes):
            total = np.int32(0)
            for value in range(2048):
                count = counts[digit, value]
                counts[digit, value] = total
                total += count
        for place in range(size):
            since = local[np.uint64(3) * place + np.uint64(2)]
            value = since & np.uint32(2047)
            pairs[0, np.uint64(counts[0, value])] = (np.uint64(since) << np.uint64(32)) | np.uint64(place)
            counts[0, value] += np.int32(1)
        for digit in range(1, passes):
            shift = np.uint64(32 + 11 * digit)
            source = pairs[(digit + 1) & 1]
            target = pairs[digit & 1]
            for place in range(size):
                pair = source[place]
                value = (pair >> shift) & np.uint64(2047)
                target[np.uint64(counts[digit, value])] = pair
                counts[digit, value] += np.int32(1)
        ordered = pairs[(passes + 1) & 1]
        for place in range(size):
            at = np.uint64(3) * (ordered[place] & np.uint64(0xFFFFFFFF))
            second = local[at + np.uint64(1)]
            user[out] = local[at]
            item[out] = second >> np.uint32(6)
            rating[out] = ratings[second & np.uint32(63)]
            time[out] = low[bucket] + np.int64(local[at + np.uint64(2)])
            out += 1


def _sorted(events: Events) -> Events:
    """Sorted by time, stably."""
    if len(events) < 2:
        return events
    low, high = int(events.time.min()), int(events.time.max())
    if low == high:
        return events
    passes = ((high - low).bit_length() + 7) // 8
    if passes <= 4:
        keys = (events.time - low).astype(np.uint32)
        return _gathered(events, _radix_order(keys, passes))
    wide = events.time.view(np.uint64) - np.int64(low).view(np.uint64)
    return _gathered(events, _radix_order(wide, passes))


def _gathered(events: Events, order: NDArray[np.uint32]) -> Events:
    """The events in this order; a compiled loop, since NumPy would first widen the order to 64 bits, four times."""
    to = Events.empty(len(events))
    _gather(order, events.user, events.item, events.rating, events.time, to.user, to.item, to.rating, to.time)
    return to


@njit(nogil=True, cache=True)
def _gather(
    order: NDArray[np.uint32],
    user: NDArray[np.uint32],
    item: NDArray[np.uint32],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
    to_user: NDArray[np.uint32],
    to_item: NDArray[np.uint32],
    to_rating: NDArray[np.float64],
    to_time: NDArray[np.int64],
) -> None:
    for i in range(order.size):
        at = order[i]
        to_user[i] = user[at]
        to_item[i] = item[at]
        to_rating[i] = rating[at]
        to_time[i] = time[at]


@njit(nogil=True, cache=True)
def _radix_order(keys: NDArray[np.unsignedinteger], passes: int) -> NDArray[np.uint32]:
    """The stable order of unsigned keys by their lowest `passes` bytes, one byte a pass, least significant first."""
    size = keys.size
    counts = np.zeros((passes, 256), np.int64)
    for i in range(size):
        key = keys[i]
        for p in range(passes):
            counts[p, np.int64((np.uint64(key) >> np.uint64(8 * p)) & np.uint64(255))] += 1
    order = np.arange(size).astype(np.uint32)
    other_order = np.empty_like(order)
    other = np.empty_like(keys)
    for p in range(passes):
        shift = np.uint64(8 * p)
        if counts[p].max() == size:
            continue  # all keys share this byte
        total = 0
        for value in range(256):
            count = counts[p, value]
            counts[p, value] = total
            total += count
        for i in range(size):
            digit = np.int64((np.uint64(keys[i]) >> shift) & np.uint64(255))
            to = counts[p, digit]
            counts[p, digit] = to + 1
            other[to] = keys[i]
            other_order[to] = order[i]
        keys, other = other, keys
        order, other_order = other_order, order
    return order


def _without_repeats(events: Events) -> Batch:
    keep = np.ones(len(events), np.bool_)
    repeats = mark_repeats(events.time, events.user, events.item, events.rating.view(np.uint64), keep)
    return Batch(events.take(keep), repeats) if repeats else Batch(events)


@njit(nogil=True, cache=True)
def tie_keys(seed: np.uint64, time: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The shuffle keys of events, given each one's index within its tie; (n,) each."""
    keys = np.empty(time.size, np.uint64)
    start = seed * np.uint64(0x9E3779B97F4A7C15)
    for i in range(time.size):
        keys[i] = mix(
            start
            + np.uint64(time[i]) * np.uint64(0xBF58476D1CE4E5B9)
            + np.uint64(index[i]) * np.uint64(0x94D049BB133111EB)
        )
    return keys


@njit(nogil=True, cache=True)
def _keys(seed: np.uint64, time: int, first: int, count: int) -> NDArray[np.uint64]:
    """The shuffle keys of `count` events of one tie, from its event `first` on."""
    keys = np.empty(count, np.uint64)
    start = seed * np.uint64(0x9E3779B97F4A7C15) + np.uint64(time) * np.uint64(0xBF58476D1CE4E5B9)
    for i in range(count):
        keys[i] = mix(start + np.uint64(first + i) * np.uint64(0x94D049BB133111EB))
    return keys


@njit(nogil=True, cache=True)
def _shuffled(time: NDArray[np.int64], seed: np.uint64) -> NDArray[np.int64]:
    """The order that puts each tie into the order of its keys."""
    order = np.arange(time.size)
    start = 0
    while start < time.size:
        stop = start + 1
        while stop < time.size and time[stop] == time[start]:
            stop += 1
        if stop - start > 1:
            keys = _keys(seed, time[start], 0, stop - start)
            order[start:stop] = start + np.argsort(keys, kind="mergesort")
        start = stop
    return order


@njit(nogil=True, cache=True)
def _set_bits(bits: NDArray[np.uint8], places: NDArray[np.int64]) -> None:
    for place in places:
        bits[place >> 3] |= np.uint8(1 << (place & 7))


@njit(nogil=True, cache=True)
def _get_bits(bits: NDArray[np.uint8], start: int, count: int) -> NDArray[np.bool_]:
    found = np.empty(count, np.bool_)
    for i in range(count):
        found[i] = (bits[(start + i) >> 3] >> ((start + i) & 7)) & 1
    return found
