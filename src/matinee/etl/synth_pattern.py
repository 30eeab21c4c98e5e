"""A source's log as the pattern of an expansion: whole users in memory, in order of time, and who took what when."""

from __future__ import annotations

import io
import os
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from matinee.errors import SourceFormatError
from matinee.etl.archive import open_log
from matinee.etl.ids import DenseIds
from matinee.etl.order import Room, in_order
from matinee.etl.read import read_log
from matinee.etl.stages import settings_for
from matinee.etl.tuning import Tuning, default_memory_limit_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.etl.extract import Archive
    from matinee.schema.progress import Progress

__all__ = ["Pattern", "Sequences", "read_pattern"]


class Sequences(NamedTuple):
    """What the kernel reads of a source; a plain tuple of arrays, as Numba takes it.

    Users and items are counted from 0 here: a version's dense id less one, which is the order of first appearance.

    Attributes:
        offsets: (users + 1,) int64: the events of user u are at offsets[u]:offsets[u + 1].
        item: (events,) int32, users in a row, each in order of time and ties in input order.
        rating: (events,) int32 code of the rating.
        time: (events,) int64 Unix seconds.
        item_offsets: (items + 1,) int64: the events on item i are by_item[item_offsets[i]:item_offsets[i + 1]].
        by_item: (events,) int64, in order of time for each item.
        place: (events,) int64 where an event stands in by_item.
    """

    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    rating: NDArray[np.int32]
    time: NDArray[np.int64]
    item_offsets: NDArray[np.int64]
    by_item: NDArray[np.int64]
    place: NDArray[np.int64]


class Pattern(NamedTuple):
    """A source, read.

    Attributes:
        sequences: its events.
        items: how many there are.
        ratings: (codes,) float64 what a rating's code means, NaN for none.
        has_rating: whether the log has a column of ratings.
        first, last: smallest and largest time.
        repeats: exact repeats that were left out, as `matinee transform` leaves them out.
    """

    sequences: Sequences
    items: int
    ratings: NDArray[np.float64]
    has_rating: bool
    first: int
    last: int
    repeats: int

    @property
    def users(self) -> int:
        """How many there are."""
        return self.sequences.offsets.size - 1

    @property
    def events(self) -> int:
        """How many there are, without repeats."""
        return self.sequences.item.size


def read_pattern(archive: Archive, folder: Path, *, workers: int | None, progress: Progress) -> Pattern:
    """Read all of a source by the rules of `matinee transform`; 32 bytes an event stay in memory.

    Args:
        archive: the source.
        folder: for what does not fit while it is sorted.
        workers: threads that parse; None is all cores.
        progress: told of the phase 'read'.

    Raises:
        SourceError: it cannot be read, or has no times.
    """
    settings = settings_for(archive)
    cores = workers or len(os.sched_getaffinity(0))
    memory_bytes = default_memory_limit_bytes()
    tuning = Tuning.for_memory(memory_bytes, cores)
    with open_log(archive.path, settings.member) as stream:
        log = read_log(
            stream,
            settings,
            tuning,
            workers=cores,
            folder=folder,
            samples=[],
            rejects=io.StringIO(),
            progress=progress,
        )
    try:
        if log.dialect.time_unit == "row":
            raise SourceFormatError(
                f"{archive.path}: has no column of times, which an expansion keeps; expected user, item, rating and "
                "time (docs/synth.md)"
            )
        users, items = DenseIds(log.largest_user, memory_bytes), DenseIds(log.largest_item, memory_bytes)
        user, item = np.empty(log.events, np.int32), np.empty(log.events, np.int32)
        rating, time = np.empty(log.events, np.float64), np.empty(log.events, np.int64)
        filled = repeats = 0
        with closing(in_order(log.spill, Room(tuning.bucket_events, folder, tuning.block_bytes))) as batches:
            for batch in batches:
                part = slice(filled, filled + len(batch.events))
                user[part], item[part] = users.assign(batch.events.user), items.assign(batch.events.item)
                rating[part], time[part] = batch.events.rating, batch.events.time
                filled += len(batch.events)
                repeats += batch.repeats
    finally:
        log.spill.close()
    ratings, codes = np.unique(rating[:filled], return_inverse=True)
    return Pattern(
        _by_user(user[:filled] - np.int32(1), item[:filled] - np.int32(1), codes.astype(np.int32), time[:filled]),
        items.count,
        ratings,
        log.dialect.columns.rating >= 0,
        int(time[0]),
        int(time[filled - 1]),
        repeats,
    )


def _by_user(
    user: NDArray[np.int32], item: NDArray[np.int32], rating: NDArray[np.int32], time: NDArray[np.int64]
) -> Sequences:
    """Columns in order of time, (events,) each, as users' sequences."""
    order = np.argsort(user, kind="stable")
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    by_item = place[np.argsort(item, kind="stable")]
    place[by_item] = np.arange(order.size)
    return Sequences(_offsets(user), item[order], rating[order], time[order], _offsets(item), by_item, place)


def _offsets(number: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where each number's entries begin when they are grouped, (largest + 2,)."""
    return np.concatenate(([0], np.cumsum(np.bincount(number)))).astype(np.int64)
