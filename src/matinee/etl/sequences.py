"""Sequence files of the splits: every user's items in order, users one after the other, grouped in bounded memory.

Events come by time and leave by user. They wait in runs: some consecutive events, sorted by partition (4096
consecutive user ids), so that a group of users lies in one stretch of every run.
"""

from __future__ import annotations

import io
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit
from numpy.lib import format as npy

from matinee.etl.hashing import HashedFile
from matinee.schema.layout import SPLITS, Split, sequence_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from matinee.schema.manifest import FileEntry

__all__ = ["SequencesWriter", "npy_header"]

_PARTITION_BITS = 12
_RUN_EVENTS = 1 << 20  # the most events of a run


class SequencesWriter:
    """offsets.npy and items.npy of the three splits. Used by one thread at a time.

    Of `memory_bytes`, half may hold runs (the others lie in an unnamed file in `temp_dir`); the rest is for what is
    being sorted, read and put in place. The offsets of one split (8 bytes a user) and where each run's partitions
    begin (4 bytes for 4096 users) come on top.
    """

    def __init__(self, folder: Path, temp_dir: Path, memory_bytes: int) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._store = _PairStore(temp_dir, memory_bytes // 2)
        size = max(1, min(_RUN_EVENTS, memory_bytes // 128))
        self._collecting = {split: _Collecting(size) for split in SPLITS}
        self._runs: dict[Split, list[_Run]] = {split: [] for split in SPLITS}
        self._rows = dict.fromkeys(SPLITS, 0)

    def write(
        self,
        split: Split,
        user: NDArray[np.int32],
        item: NDArray[np.int32],
        rating: NDArray[np.float64],  # noqa: ARG002  # all writers take the same call
        time: NDArray[np.int64],  # noqa: ARG002  # all writers take the same call
    ) -> None:
        """The next events of a split, in order; (n,) each.

        Raises:
            OSError: the temporary folder is full, or cannot be written.
        """
        collecting = self._collecting[split]
        start = 0
        while start < user.size:
            start += collecting.add(user[start:], item[start:])
            if collecting.is_full:
                self._end_run(split)
        self._rows[split] += user.size

    def close(self, totals: dict[Split, NDArray[np.int64]]) -> list[FileEntry]:
        """Write the files; offsets and items for train, eval and test.

        Args:
            totals: each split's events per user, by dense id; (users + 1,), index 0 unused.

        Raises:
            OSError: the disk is full, or a file cannot be written.
        """
        entries: list[FileEntry] = []
        try:
            for split in SPLITS:
                self._end_run(split)
            self._collecting.clear()
            for split in SPLITS:
                offsets = np.zeros(totals[split].size + 1, np.int64)
                np.cumsum(totals[split][1:], out=offsets[2:])
                if offsets[-1] != self._rows[split]:
                    raise ValueError(f"{split}: users have {offsets[-1]} events, {self._rows[split]} were written")
                entries += [self._write_offsets(split, offsets), self._write_items(split, offsets)]
                self._store.forget(self._runs.pop(split))
        finally:
            self.abort()
        return entries

    def abort(self) -> None:
        """Give memory and disk back."""
        self._collecting.clear()
        self._runs.clear()
        self._store.close()

    def _end_run(self, split: Split) -> None:
        user, item = self._collecting[split].take()
        if user.size:
            partitions = (int(user.max()) >> _PARTITION_BITS) + 1
            starts = _partition_starts(user, partitions)
            pairs = np.empty(2 * user.size, np.int32)
            _sort_by_partition(user, item, starts[:-1].copy(), pairs)
            self._runs[split].append(self._store.append(pairs, starts))

    def _write_offsets(self, split: Split, offsets: NDArray[np.int64]) -> FileEntry:
        file = HashedFile(self._folder, sequence_path(split, "offsets"))
        try:
            file.write(npy_header(offsets.dtype, offsets.size))
            file.write(offsets.data)
            return file.close()
        finally:
            file.abort()

    def _write_items(self, split: Split, offsets: NDArray[np.int64]) -> FileEntry:
        file = HashedFile(self._folder, sequence_path(split, "items"))
        group_events = max(1, self._memory_bytes // 16)
        group_users = max(1 << _PARTITION_BITS, self._memory_bytes // 64)
        try:
            file.write(npy_header(np.dtype(np.int32), self._rows[split]))
            for first, last in _user_groups(offsets, group_events, group_users):
                if offsets[last] - offsets[first] > group_events:
                    for pairs in self._pairs(split, first, last):
                        file.write(pairs[1::2][pairs[::2] == first].data)
                else:
                    file.write(self._items_of(split, first, last, offsets).data)
            return file.close(self._rows[split])
        finally:
            file.abort()

    def _items_of(self, split: Split, first: int, last: int, offsets: NDArray[np.int64]) -> NDArray[np.int32]:
        """The items of the users first..last-1, users by id."""
        items = np.empty(int(offsets[last] - offsets[first]), np.int32)
        if items.size:
            cursor = offsets[first:last] - offsets[first]
            for pairs in self._pairs(split, first, last):
                _scatter(pairs, first, cursor, items)
        return items

    def _pairs(self, split: Split, first: int, last: int) -> Iterator[NDArray[np.int32]]:
        """The pairs of all partitions that the users first..last-1 touch, in order within each user."""
        most = max(1, self._memory_bytes // 64)
        lowest, highest = first >> _PARTITION_BITS, (last - 1) >> _PARTITION_BITS
        for run in self._runs[split]:
            partitions = run.starts.size - 1
            start, stop = int(run.starts[min(lowest, partitions)]), int(run.starts[min(highest + 1, partitions)])
            for begin in range(start, stop, most):
                yield self._store.read(run, begin, min(begin + most, stop))


class _Run(NamedTuple):
    """A run's pairs in memory, or where they lie in the file; and where its partitions begin, in events."""

    pairs: NDArray[np.int32] | None
    offset: int
    starts: NDArray[np.int32]


class _Collecting:
    """Events that become the next run."""

    def __init__(self, size: int) -> None:
        # Pages of these that are never reached take no memory.
        self._user = np.empty(size, np.int32)
        self._item = np.empty(size, np.int32)
        self._filled = 0

    @property
    def is_full(self) -> bool:
        return self._filled == self._user.size

    def add(self, user: NDArray[np.int32], item: NDArray[np.int32]) -> int:
        """Take as many as there is room for, and say how many."""
        size = min(user.size, self._user.size - self._filled)
        filled = self._filled + size
        self._user[self._filled : filled] = user[:size]
        self._item[self._filled : filled] = item[:size]
        self._filled = filled
        return size

    def take(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """What was collected; valid until the next `add`."""
        size, self._filled = self._filled, 0
        return self._user[:size], self._item[:size]


class _PairStore:
    """Runs of (user, item), `memory_bytes` of them in memory, the others in a file that never has a name."""

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self._folder = folder
        self._memory_left = memory_bytes
        self._file: int | None = None
        self._file_size = 0

    def append(self, pairs: NDArray[np.int32], starts: NDArray[np.int32]) -> _Run:
        if pairs.nbytes <= self._memory_left:
            self._memory_left -= pairs.nbytes
            return _Run(pairs, 0, starts)
        if self._file is None:
            with tempfile.TemporaryFile(dir=self._folder, prefix="matinee-sequences-") as unnamed:
                self._file = os.dup(unnamed.fileno())
        offset = self._file_size
        rest = pairs.data.cast("B")
        while rest:
            written = os.pwrite(self._file, rest, self._file_size)
            self._file_size += written
            rest = rest[written:]
        return _Run(None, offset, starts)

    def read(self, run: _Run, start: int, stop: int) -> NDArray[np.int32]:
        """The pairs start..stop of a run."""
        if run.pairs is not None:
            return run.pairs[2 * start : 2 * stop]
        if self._file is None:
            raise OSError("the waiting sequences are closed")
        pairs = np.empty(2 * (stop - start), np.int32)
        offset = run.offset + 8 * start
        rest = pairs.data.cast("B")
        while rest:
            got = os.preadv(self._file, [rest], offset)
            if not got:
                raise OSError(f"the waiting sequences in {self._folder} end early")
            offset += got
            rest = rest[got:]
        return pairs

    def forget(self, runs: list[_Run]) -> None:
        """These runs are done with."""
        self._memory_left += sum(run.pairs.nbytes for run in runs if run.pairs is not None)
        runs.clear()

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def _user_groups(offsets: NDArray[np.int64], most_events: int, most_users: int) -> Iterator[tuple[int, int]]:
    """Consecutive users first..last-1 with at most that many events, or one user with more.

    Groups end with a partition where they can, so that no partition is read for two of them.
    """
    users = offsets.size - 1
    first = 1
    while first < users:
        last = int(np.searchsorted(offsets, offsets[first] + most_events, side="right")) - 1
        last = min(max(last, first + 1), first + most_users, users)
        whole = last >> _PARTITION_BITS << _PARTITION_BITS
        if last < users and whole > first:
            last = whole
        yield first, last
        first = last


def npy_header(dtype: np.dtype[Any], size: int) -> bytes:
    """What precedes the values in a .npy file of one dimension."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (size,)})
    return header.getvalue()


@njit(nogil=True, cache=True)
def _partition_starts(user: NDArray[np.int32], partitions: int) -> NDArray[np.int32]:
    starts = np.zeros(partitions + 1, np.int32)
    for i in range(user.size):
        starts[(user[i] >> _PARTITION_BITS) + 1] += 1
    for p in range(partitions):
        starts[p + 1] += starts[p]
    return starts


@njit(nogil=True, cache=True)
def _sort_by_partition(
    user: NDArray[np.int32], item: NDArray[np.int32], cursor: NDArray[np.int32], pairs: NDArray[np.int32]
) -> None:
    for i in range(user.size):
        partition = user[i] >> _PARTITION_BITS
        to = np.int64(cursor[partition])
        cursor[partition] += 1
        pairs[2 * to] = user[i]
        pairs[2 * to + 1] = item[i]


@njit(nogil=True, cache=True)
def _scatter(pairs: NDArray[np.int32], first: int, cursor: NDArray[np.int64], items: NDArray[np.int32]) -> None:
    for i in range(0, pairs.size, 2):
        user = np.int64(pairs[i]) - first
        if 0 <= user < cursor.size:
            items[cursor[user]] = pairs[i + 1]
            cursor[user] += 1
