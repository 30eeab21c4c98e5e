"""When each user and item was first and last seen, and how often: one pass over a version's events, in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from pyarrow import ArrowException, parquet

from matinee.errors import VersionDamagedError
from matinee.schema.layout import SPLITS, events_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.schema.manifest import Manifest
    from matinee.schema.progress import Progress

__all__ = ["Seen", "scan"]

_BATCH: Final = 1 << 20  # rows; 16 bytes each, twice
_NEVER: Final = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True)
class Seen:
    """By dense id, index 0 unused, all of shape (ids + 1,) and int64.

    Attributes:
        first, last: smallest and largest timestamp; they mean nothing where there are no events.
        events: how many.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    events: NDArray[np.int64]

    @classmethod
    def nothing(cls, ids: int) -> Self:
        """Nobody seen yet."""
        return cls(
            first=np.full(ids + 1, _NEVER.max, np.int64),
            last=np.full(ids + 1, _NEVER.min, np.int64),
            events=np.zeros(ids + 1, np.int64),
        )

    def add(self, ids: NDArray[np.int32], times: NDArray[np.int64]) -> None:
        """Take in events that are in order of time."""
        self.events[:] += np.bincount(ids, minlength=len(self.events))
        # Where an id occurs more than once, the last assignment stays: its latest time, and backwards its earliest.
        self.last[ids] = np.maximum(self.last[ids], times)
        backwards = ids[::-1]
        self.first[backwards] = np.minimum(self.first[backwards], times[::-1])


def scan(folder: Path, manifest: Manifest, progress: Progress) -> tuple[Seen, Seen]:
    """Users and items of the version in `folder`, as its event files show them; memory does not grow with the events.

    Raises:
        VersionDamagedError: an event file is unreadable, out of order, or names ids that the id maps do not have.
    """
    users, items = Seen.nothing(manifest.users.count), Seen.nothing(manifest.items.count)
    total = sum(manifest.file(events_path(split)).rows or 0 for split in SPLITS)
    progress.start("scan", total, "rows")
    for split in SPLITS:
        path = folder / events_path(split)
        before = _NEVER.min
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH, columns=["user", "item", "timestamp"]):
                    user, item, time = (batch.column(name).to_numpy() for name in ("user", "item", "timestamp"))
                    if not len(time):
                        continue
                    _check(path, before, (user, users), (item, items), time)
                    users.add(user, time)
                    items.add(item, time)
                    before = time[-1]
                    progress.advance(len(time))
        except (OSError, ArrowException) as error:
            raise VersionDamagedError(f"{path}: cannot be read ({_one_line(error)}); transform again") from None
    # A version with a base keeps the ids of people whose events come later than what it takes in.
    for kind, seen in () if manifest.base else (("users", users), ("items", items)):
        if not seen.events[1:].all():
            missing = int(np.flatnonzero(seen.events[1:] == 0)[0]) + 1
            raise VersionDamagedError(f"{folder}: {kind} has id {missing}, which no event names; transform again")
    progress.finish(f"{total:,} events")
    return users, items


def _check(
    path: Path,
    before: int,
    users: tuple[NDArray[np.int32], Seen],
    items: tuple[NDArray[np.int32], Seen],
    times: NDArray[np.int64],
) -> None:
    if times[0] < before or np.any(times[1:] < times[:-1]):
        raise VersionDamagedError(f"{path}: its events are not in order of time; transform again")
    for kind, (ids, seen) in (("user", users), ("item", items)):
        lowest, highest = int(ids.min()), int(ids.max())
        if lowest < 1 or highest >= len(seen.events):
            raise VersionDamagedError(
                f"{path}: {kind} ids {lowest} to {highest}, the manifest has 1 to {len(seen.events) - 1}; transform "
                "again"
            )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
