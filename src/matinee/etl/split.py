"""Which split an event belongs to, decided batch by batch in chronological order (docs/format.md, section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numba import njit

from matinee.errors import SourceFormatError, UsageError

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

    from matinee.schema.transform_settings import TransformSettings

__all__ = ["CutFinder", "RandomSplitter", "Splitter", "fold_shares", "make_splitter", "user_bounds"]


class Splitter(Protocol):
    """Assigns splits; called with consecutive batches."""

    by_time: bool

    def split(self, user: NDArray[np.int32], time: NDArray[np.int64]) -> list[tuple[int, int, int]] | NDArray[np.uint8]:
        """Parts (split, start, stop) in order where splits follow each other, else a split an event."""

    def cuts(self) -> tuple[int, ...]:
        """After the last batch: the first instants of eval and of test, or nothing."""

    def folds(self) -> list[dict[str, int]]:
        """After the last batch: rolling folds, or nothing."""


def make_splitter(settings: TransformSettings, events: int, totals: NDArray[np.int64] | None) -> Splitter:
    """The splitter that the settings ask for; `totals` are events per user, for the splits that work per user."""
    if settings.split == "time":
        return _TimeSplitter(settings, events)
    if settings.split == "random":
        return RandomSplitter(settings)
    if totals is None:
        raise ValueError("a split per user needs the users' totals")
    return _UserSplitter(*user_bounds(settings, totals))


def user_bounds(settings: TransformSettings, totals: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many of a user's events lie before the ends of train and of eval, by how many there are; (n,) each."""
    if settings.split == "ratio":
        train, evaluation, _ = settings.exact_fractions
        longest = range(int(totals.max(initial=0)) + 1)
        ends = (np.array([int(share * n) for n in longest], np.int64) for share in (train, train + evaluation))
        train_ends, eval_ends = (by_length[totals] for by_length in ends)
        return train_ends, eval_ends
    short = totals < 3
    return np.where(short, totals, totals - 2), np.where(short, totals, totals - 1)


def fold_shares(settings: TransformSettings) -> list[tuple[Fraction, Fraction, Fraction]]:
    """Train end, eval end and test end of each rolling fold, as shares of all events.

    Raises:
        UsageError: the folds reach back before the first event, or test is empty.
    """
    train, evaluation, width = settings.exact_fractions
    if settings.rolling and (width <= 0 or train - (settings.rolling - 1) * width <= 0):
        raise UsageError(
            f"--rolling {settings.rolling} with --fractions {','.join(settings.fractions)}: the first fold's train is "
            f"empty; expected a test share above 0 and below {train} / {settings.rolling - 1}"
        )
    backs = [(settings.rolling - fold) * width for fold in range(1, settings.rolling + 1)]
    return [(train - back, train + evaluation - back, 1 - back) for back in backs]


class CutFinder:
    """Finds, for ascending target positions, the first position at or after each that divides no tie."""

    def __init__(self, targets: list[int], events: int) -> None:
        self._events = events
        self._open = sorted(set(targets))
        self.found: dict[int, int] = {target: 0 for target in self._open if target <= 0}
        self.instants: dict[int, int] = {}
        self._waiting = [target for target in self._open if target > 0]
        self._position = 0
        self._last: int | None = None
        self._first: int | None = None

    def feed(self, time: NDArray[np.int64]) -> None:
        """The times of the next batch."""
        if not time.size:
            return
        if self._first is None:
            self._first = int(time[0])
        end = self._position + time.size
        while self._waiting and self._waiting[0] < end:
            target = self._waiting[0]
            at = max(target - self._position, 0)
            before = self._last if at == 0 else int(time[at - 1])
            if before == int(time[at]):
                at += int(np.searchsorted(time[at:], time[at], side="right"))
            if at >= time.size:
                break
            self.found[target] = self._position + at
            self.instants[target] = int(time[at])
            self._waiting.pop(0)
        self._position = end
        self._last = int(time[-1])

    def position(self, target: int) -> int:
        """Where the cut lies, as far as is known: `events` while it has not come."""
        return self.found.get(target, self._events)

    def instant(self, target: int) -> int:
        """The first time at or after the cut, or one past the last time."""
        if target <= 0:
            return self._first or 0
        return self.instants.get(target, (self._last or 0) + 1)


class RandomSplitter:
    """A split by the hash of each event's place; the first batch begins at `position`."""

    by_time = False

    def __init__(self, settings: TransformSettings, position: int = 0) -> None:
        train, evaluation, _ = settings.exact_fractions
        self._seed = settings.seed
        self._limits = [int(share * 2**64) for share in (train, train + evaluation)]
        self._position = position

    def split(self, user: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The split of each event of the next batch."""
        del user
        hashes = _position_hashes(np.uint64(self._seed), self._position, time.size)
        self._position += time.size
        splits = np.zeros(time.size, np.uint8)
        for limit in self._limits:
            if limit < 2**64:
                splits += hashes >= np.uint64(limit)
        return splits

    def cuts(self) -> tuple[int, ...]:
        """None."""
        return ()

    def folds(self) -> list[dict[str, int]]:
        """None."""
        return []


class _TimeSplitter:
    by_time = True

    def __init__(self, settings: TransformSettings, events: int) -> None:
        train, evaluation, _ = settings.exact_fractions
        self._explicit = settings.cuts
        self._targets = [int(train * events), int((train + evaluation) * events)]
        self._shares = fold_shares(settings)
        self._events = events
        self._fold_targets = [[int(share * events) for share in shares] for shares in self._shares]
        every = self._targets + [target for targets in self._fold_targets for target in targets]
        self._finder = CutFinder(every, events)
        self._position = 0

    def split(self, user: NDArray[np.int32], time: NDArray[np.int64]) -> list[tuple[int, int, int]]:
        del user
        self._finder.feed(time)
        if self._explicit:
            first, second = (int(np.searchsorted(time, cut, side="left")) for cut in self._explicit)
        else:
            first, second = (
                min(max(self._finder.position(target) - self._position, 0), time.size) for target in self._targets
            )
        if self._position == 0 and first == 0 and time.size:
            raise SourceFormatError(
                f"train is empty: the first event has timestamp {int(time[0])}; move --cut later or raise --fractions"
            )
        self._position += time.size
        return [(0, 0, first), (1, first, second), (2, second, time.size)]

    def cuts(self) -> tuple[int, ...]:
        return self._explicit or tuple(self._finder.instant(target) for target in self._targets)

    def folds(self) -> list[dict[str, int]]:
        names = ("train_end", "eval_end", "test_end")
        return [
            dict(zip(names, (self._finder.position(target) for target in targets), strict=True))
            for targets in self._fold_targets
        ]


class _UserSplitter:
    """A user's events before the first bound go to train, before the second to eval, the rest to test."""

    by_time = False

    def __init__(self, train_ends: NDArray[np.int64], eval_ends: NDArray[np.int64]) -> None:
        self._train_ends, self._eval_ends = train_ends, eval_ends
        self._seen = np.zeros(train_ends.size, np.int64)

    def split(self, user: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.uint8]:
        splits = np.empty(time.size, np.uint8)
        _split_by_user(user, self._seen, self._train_ends, self._eval_ends, splits)
        return splits

    def cuts(self) -> tuple[int, ...]:
        return ()

    def folds(self) -> list[dict[str, int]]:
        return []


@njit(nogil=True, cache=True)
def _position_hashes(seed: np.uint64, first: int, count: int) -> NDArray[np.uint64]:
    hashes = np.empty(count, np.uint64)
    start = seed * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    for i in range(count):
        z = start + np.uint64(first + i) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashes[i] = z ^ (z >> np.uint64(31))
    return hashes


@njit(nogil=True, cache=True)
def _split_by_user(
    user: NDArray[np.int32],
    seen: NDArray[np.int64],
    train_ends: NDArray[np.int64],
    eval_ends: NDArray[np.int64],
    splits: NDArray[np.uint8],
) -> None:
    for i in range(user.size):
        u = user[i]
        n = seen[u]
        seen[u] = n + 1
        splits[i] = 0 if n < train_ends[u] else (1 if n < eval_ends[u] else 2)
