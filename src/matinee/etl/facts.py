"""The certificate's numbers, counted while the events pass by in chronological order (docs/format.md, section 9).

What is kept is a counter for each user and item in each split, 200 bins of time, and a few numbers about the tie that
is open at the moment, so that it does not matter where batches are cut.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from matinee.schema.certificate import SplitFacts, Timeline
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.schema.layout import Split

__all__ = ["Facts", "log_spaced", "timeline_edges"]

_POINTS = 200  # bins of the timeline, and points of the two curves at most
_CAPACITY = 1024

# What is carried from event to event: rows of `_passing`, ...
_TIME, _RUN, _TIED, _BIN = range(4)
# ... rows of `_by_split` (a column a split; _BELOW and _BEFORE are events before the open tie and before train's last
# event so far), ...
_ROWS, _FIRST, _LAST, _COLD_BOTH, _BELOW, _BEFORE = range(6)
# ... and rows of `_bins`.
_EVENTS, _BY_COLD_USERS, _ON_COLD_ITEMS = range(3)


class Facts:
    """Counts events that arrive in chronological order, in batches cut anywhere.

    Args:
        first, last: smallest and largest timestamp of all events to come.
        by_time: the split is by time: all of train comes before the rest, so that an id is cold when it passes by
            later and train has not counted it.
    """

    def __init__(self, first: int, last: int, *, by_time: bool) -> None:
        self._by_time = by_time
        self._edges = timeline_edges(first, last)
        # Only the last edge lies above `last`, so only that one may leave int64; nothing needs it.
        self._inner_edges = np.array(self._edges[1:-1], np.int64)
        self._bins = np.zeros((3, len(self._edges) - 1), np.int64)
        self._by_split = np.zeros((6, len(SPLITS)), np.int64)
        self._passing = np.zeros(4, np.int64)
        # (splits, capacity) events by dense id; four billion events of one id are more than a run can sort.
        self._user_counts = np.zeros((len(SPLITS), _CAPACITY), np.uint32)
        self._item_counts = np.zeros((len(SPLITS), _CAPACITY), np.uint32)
        self._largest_user = 0
        self._largest_item = 0

    def add(
        self,
        user: NDArray[np.int32],
        item: NDArray[np.int32],
        time: NDArray[np.int64],
        split: NDArray[np.uint8] | int,
    ) -> None:
        """Count the next events, (n,) each; `split` is a position in SPLITS, for the batch or for each event."""
        if not user.size:
            return
        self._largest_user = max(self._largest_user, int(user.max()))
        self._largest_item = max(self._largest_item, int(item.max()))
        self._user_counts = _with_room(self._user_counts, self._largest_user)
        self._item_counts = _with_room(self._item_counts, self._largest_item)
        splits = np.full(user.size, split, np.uint8) if isinstance(split, int) else split
        _count(
            user,
            item,
            time,
            splits,
            self._inner_edges,
            self._user_counts,
            self._item_counts,
            self._by_split,
            self._bins,
            self._passing,
        )

    @property
    def users(self) -> int:
        """Distinct users so far."""
        return _sums(self._user_counts, self._largest_user).size

    @property
    def items(self) -> int:
        """Distinct items so far."""
        return _sums(self._item_counts, self._largest_item).size

    @property
    def tied_events(self) -> int:
        """Events that share their time with another one."""
        return int(self._passing[_TIED])

    def totals(self, users: int) -> dict[Split, NDArray[np.int64]]:
        """Events of each user in each split, (users + 1,) by dense id; index 0 is unused.

        `users` is the largest id there is, which may be one without events.
        """
        counts = _with_room(self._user_counts, users)
        return {split: own[: users + 1].astype(np.int64) for split, own in zip(SPLITS, counts, strict=True)}

    def split_facts(self) -> tuple[SplitFacts, SplitFacts, SplitFacts]:
        """The facts of train, eval and test."""
        return self._facts_of(0), self._facts_of(1), self._facts_of(2)

    def timeline(self) -> Timeline:
        """Events over time."""
        events, by_cold_users, on_cold_items = (tuple(row) for row in self._bins.tolist())
        if not self._by_time:
            by_cold_users = on_cold_items = ()
        return Timeline(self._edges, events, by_cold_users, on_cold_items)

    def popularity(self) -> tuple[tuple[int, int], ...]:
        """(rank, events) of items, rank 1 the most popular."""
        events = np.sort(_sums(self._item_counts, self._largest_item))[::-1]
        return tuple((rank, int(events[rank - 1])) for rank in log_spaced(events.size))

    def lengths(self) -> tuple[tuple[int, int], ...]:
        """(smallest length of a bin, users whose number of events falls into it)."""
        lengths = np.sort(_sums(self._user_counts, self._largest_user))
        starts = log_spaced(int(lengths[-1]) if lengths.size else 0)
        users = np.diff(np.searchsorted(lengths, np.array(starts, np.int64)), append=lengths.size).tolist()
        return tuple((start, count) for start, count in zip(starts, users, strict=True) if count)

    def _facts_of(self, split: int) -> SplitFacts:
        rows, first, last, cold_both, _, before_train = self._by_split[:, split].tolist()
        users, cold_users, by_cold_users = _cold(self._user_counts, split)
        items, cold_items, on_cold_items = _cold(self._item_counts, split)
        return SplitFacts(
            rows=rows,
            users=users,
            items=items,
            first=first if rows else None,
            last=last if rows else None,
            cold_users=cold_users,
            cold_items=cold_items,
            by_cold_users=by_cold_users,
            on_cold_items=on_cold_items,
            cold_both=cold_both if self._by_time else None,
            before_train=before_train,
        )


def log_spaced(largest: int) -> list[int]:
    """Whole numbers from 1 to `largest`, evenly apart on a logarithmic axis, distinct; none when it is 0."""
    if not largest:
        return []
    power = math.log10(largest)
    return sorted({min(max(round(10 ** (i * power / (_POINTS - 1))), 1), largest) for i in range(_POINTS)})


def timeline_edges(first: int, last: int) -> tuple[int, ...]:
    """The edges of the timeline's bins; only the last one lies above `last`, and may lie outside int64."""
    width = max(1, -(-(last - first + 1) // _POINTS))
    return tuple(range(first, last + width + 1, width))


def _with_room(counts: NDArray[np.uint32], largest: int) -> NDArray[np.uint32]:
    """These counters, or a copy of at least twice the capacity when the largest id has no place."""
    splits, capacity = counts.shape
    if largest < capacity:
        return counts
    wider = np.zeros((splits, max(2 * capacity, largest + 1)), np.uint32)
    wider[:, :capacity] = counts
    return wider


def _cold(counts: NDArray[np.uint32], split: int) -> tuple[int, int, int]:
    """Distinct ids in a split, those of them that train has not seen, and the events of these."""
    cold = counts[0] == 0
    seen = counts[split] > 0
    events = int(np.sum(counts[split], dtype=np.int64, where=cold))
    return int(np.count_nonzero(seen)), int(np.count_nonzero(seen & cold)), events


def _sums(counts: NDArray[np.uint32], largest: int) -> NDArray[np.int64]:
    """Events in all splits of each id that has any; (distinct ids,)."""
    sums: NDArray[np.int64] = counts[:, 1 : largest + 1].sum(axis=0, dtype=np.int64)
    return sums[sums > 0]


@njit(nogil=True, cache=True)
def _count(
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    time: NDArray[np.int64],
    split: NDArray[np.uint8],
    inner_edges: NDArray[np.int64],
    user_counts: NDArray[np.uint32],
    item_counts: NDArray[np.uint32],
    by_split: NDArray[np.int64],
    bins: NDArray[np.int64],
    passing: NDArray[np.int64],
) -> None:
    previous, run, tied = passing[_TIME], passing[_RUN], passing[_TIED]
    b = passing[_BIN]
    for i in range(user.size):
        u, v, t, s = user[i], item[i], time[i], split[i]
        if run > 0 and t == previous:
            # The second event of a tie makes the first one tied as well.
            tied += 2 if run == 1 else 1
            run += 1
        else:
            previous, run = t, 1
            by_split[_BELOW, 1], by_split[_BELOW, 2] = by_split[_ROWS, 1], by_split[_ROWS, 2]
            while b < inner_edges.size and t >= inner_edges[b]:
                b += 1
        if s == 0:
            by_split[_BEFORE, 1], by_split[_BEFORE, 2] = by_split[_BELOW, 1], by_split[_BELOW, 2]
        if by_split[_ROWS, s] == 0:
            by_split[_FIRST, s] = t
        by_split[_LAST, s] = t
        by_split[_ROWS, s] += 1
        user_counts[s, u] += np.uint32(1)
        item_counts[s, v] += np.uint32(1)
        bins[_EVENTS, b] += 1
        if s > 0:
            cold_user, cold_item = user_counts[0, u] == 0, item_counts[0, v] == 0
            bins[_BY_COLD_USERS, b] += cold_user
            bins[_ON_COLD_ITEMS, b] += cold_item
            by_split[_COLD_BOTH, s] += cold_user & cold_item
    passing[_TIME], passing[_RUN], passing[_TIED] = previous, run, tied
    passing[_BIN] = b
