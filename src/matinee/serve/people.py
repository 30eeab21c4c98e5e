"""Everybody's history in memory: what a version's splits say, mapped from its files, and behind it what was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matinee.model.histories import Histories
from matinee.schema.layout import SPLITS
from matinee.serve.raw_ids import RawIds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matinee.schema.layout import Split
    from matinee.version import Version

__all__ = ["People", "Told"]

_FIRST_ROOM = 1024


class Told:
    """The items told and when, in the order of the log; a slice of it stays what it is while more is told."""

    def __init__(self) -> None:
        self._items = np.zeros(_FIRST_ROOM, np.int32)
        self._times_s = np.zeros(_FIRST_ROOM, np.int64)
        self._size = 0

    def __len__(self) -> int:
        """How many events."""
        return self._size

    def append(self, item: int, time_s: int) -> None:
        """One event more."""
        if self._size == self._items.size:
            # Copied, not resized in place: whoever holds a slice keeps the old arrays.
            self._items = np.concatenate([self._items, np.zeros_like(self._items)])
            self._times_s = np.concatenate([self._times_s, np.zeros_like(self._times_s)])
        self._items[self._size], self._times_s[self._size] = item, time_s
        self._size += 1

    def since(self, place: int, until: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Items and Unix seconds of the events place..until."""
        return self._items[place:until], self._times_s[place:until]


class People:
    """The histories, by dense id.

    Attributes:
        users, items: the id maps.
        told: what was told, of everybody.
    """

    def __init__(self, version: Version, past: Sequence[Split]) -> None:
        """Map the sequences of the splits that have happened already.

        Raises:
            VersionDamagedError: the version cannot be read.
        """
        self.users = RawIds(version.raw_users, version.manifest.users.kind)
        self.items = RawIds(version.raw_items, version.manifest.items.kind)
        self.told = Told()
        self._past = [version.sequences(split) for split in SPLITS if split in past]
        for each in self._past:
            _ = each.items  # reads all of it: damage is told at the start, not to whoever asks about one person
        self._own: dict[int, list[int]] = {}

    def tell(self, user: str, item: str, timestamp: int) -> None:
        """It has happened: `user` took `item`, raw ids; whoever or whatever is new gets a number."""
        number = self.items.number(item)
        self._own.setdefault(self.users.number(user), []).append(number)
        self.told.append(number, timestamp)

    def of(self, user: int) -> NDArray[np.int32]:
        """All that one user took, the oldest first; empty for 0."""
        parts = [each.of(user) for each in self._past] if 0 < user <= self.users.numbered else []
        if user in self._own:
            parts.append(np.array(self._own[user], np.int32))
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    def gather(self, users: Sequence[int], instead: Sequence[NDArray[np.int32] | None]) -> Histories:
        """The histories of `users`, or what is given instead of one."""
        histories = [self.of(user) if given is None else given for user, given in zip(users, instead, strict=True)]
        offsets = np.zeros(len(histories) + 1, np.int64)
        np.cumsum([history.size for history in histories], out=offsets[1:])
        return Histories(np.array(users, np.int32), offsets, np.concatenate(histories))
