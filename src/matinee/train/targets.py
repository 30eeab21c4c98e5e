"""Which events a model is asked about, in which order, and what happens in between: the two protocols.

`time` asks about every event of a split, in order of time, and tells what else happens meanwhile (for live counts).
`leave-one-out` asks about each user's last event of the split, by user; the clock stands still at training's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np
from numba import njit

from matinee.errors import VersionDamagedError
from matinee.schema.layout import SPLITS
from matinee.version import EventBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from matinee.schema.layout import Split
    from matinee.version import Sequences, Version

__all__ = ["Asked", "Protocol", "Scene", "last_targets", "sample_users", "targets_in_time"]

Protocol = Literal["time", "leave-one-out"]

_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """n questions: what does this user take next? (n,) each.

    Attributes:
        users, targets: dense ids.
        times_s: Unix seconds; not falling.
        positions: how many events of the user come before, in the split.
        places: how many events of the scene come before; not falling.
    """

    users: NDArray[np.int32]
    targets: NDArray[np.int32]
    times_s: NDArray[np.int64]
    positions: NDArray[np.int64]
    places: NDArray[np.int64]

    def __len__(self) -> int:
        """How many questions."""
        return self.users.size

    def part(self, start: int, stop: int) -> Asked:
        """The questions start..stop."""
        return self.those(slice(start, stop))

    def those(self, cut: slice | NDArray[np.bool_]) -> Asked:
        """Some of the questions."""
        return Asked(self.users[cut], self.targets[cut], self.times_s[cut], self.positions[cut], self.places[cut])


@dataclass(frozen=True, slots=True)
class Scene:
    """Some consecutive events of the log, in order of time, and the questions among them.

    Attributes:
        items, times_s: (events,) what happens.
        asked: about some of these events, or about none.
    """

    items: NDArray[np.int32]
    times_s: NDArray[np.int64]
    asked: Asked


def sample_users(own: Sequences, users: int | None, seed: int) -> NDArray[np.bool_]:
    """Which users are asked about: all that have events in the split, or `users` of them drawn by the seed; (ids,)."""
    wanted = np.diff(own.offsets) > 0
    present = np.flatnonzero(wanted)
    if users is None or users >= present.size:
        return wanted
    wanted[:] = False
    wanted[np.random.default_rng(seed).choice(present, users, replace=False)] = True
    return wanted


def targets_in_time(
    version: Version, split: Split, wanted: NDArray[np.bool_], *, window_s: int | None, counting: bool
) -> Iterator[Scene]:
    """Every event of the split by the wanted users, in order of time.

    With `counting` the scenes hold all that happens up to and between them: the events of earlier splits too, from
    `window_s` before its first event on. Where splits do not follow each other in time (all but a split by time), the
    events are merged by timestamp in memory, some 40 bytes each; in a tie those of an earlier split come first.

    Raises:
        VersionDamagedError: events and sequences differ.
    """
    own = version.sequences(split)
    earlier = SPLITS[: SPLITS.index(split)] if counting else ()
    parts: Iterator[tuple[EventBatch, NDArray[np.bool_]]]
    if version.certificate.split == "time" or not earlier:
        first = getattr(version.certificate, split).first
        since = None if window_s is None or first is None else first - window_s
        batches = chain(
            ((batch, False) for name in earlier for batch in version.events(name, since=since)),
            ((batch, True) for batch in version.events(split)),
        )
        parts = ((batch, np.full(batch.user.size, asked)) for batch, asked in batches)
    else:
        parts = _merged(version, [*earlier, split])
    seen = np.zeros(version.users + 1, np.int64)
    for batch, mine in parts:
        positions = np.zeros(batch.user.size, np.int64)
        if not _place(batch.user, batch.item, mine, seen, np.asarray(own.offsets), np.asarray(own.items), positions):
            raise VersionDamagedError(
                f"{version.folder}: events and sequences of {split} tell different stories; transform again"
            )
        at = np.flatnonzero(mine & wanted[batch.user])
        yield Scene(
            batch.item,
            batch.timestamp,
            Asked(batch.user[at], batch.item[at], batch.timestamp[at], positions[at], at),
        )


def last_targets(version: Version, split: Split, wanted: NDArray[np.bool_], *, counting: bool) -> Iterator[Scene]:
    """The last event of each wanted user in the split; with `counting`, after a first scene with all of training.

    So the counts are training's, whatever the protocol's order may be; a window ends with training's last event.
    """
    now_s = version.certificate.train.last or 0
    ids, numbers = np.zeros(0, np.int32), np.zeros(0, np.int64)
    none = Asked(ids, ids, numbers, numbers, numbers)
    if counting:
        for batch in version.events("train"):
            yield Scene(batch.item, batch.timestamp, none)
    own = version.sequences(split)
    users = np.flatnonzero(wanted).astype(np.int32)
    last = own.offsets[users + 1] - 1
    still = np.zeros(users.size, np.int64)
    asked = Asked(users, np.asarray(own.items[last]), still + now_s, last - own.offsets[users], still)
    yield Scene(ids, numbers, asked)


def _merged(version: Version, splits: Sequence[Split]) -> Iterator[tuple[EventBatch, NDArray[np.bool_]]]:
    """All events of the splits by timestamp, those of an earlier split first in a tie; which are of the last one."""
    read = [(batch, name == splits[-1]) for name in splits for batch in version.events(name)]
    columns = [np.concatenate(column) for column in zip(*(batch for batch, _ in read), strict=True)]
    mine = np.concatenate([np.full(batch.user.size, asked) for batch, asked in read])
    order = np.argsort(columns[2], kind="stable")
    for start in range(0, order.size, _ROWS):
        rows = order[start : start + _ROWS]
        yield EventBatch(columns[0][rows], columns[1][rows], columns[2][rows]), mine[rows]


@njit(nogil=True, cache=True)
def _place(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    mine: NDArray[np.bool_],
    seen: NDArray[np.int64],
    offsets: NDArray[np.int64],
    sequences: NDArray[np.int32],
    positions: NDArray[np.int64],
) -> bool:
    """Number each user's events of the split 0, 1, 2, ...; False where the user's sequence has another item there."""
    for row in range(users.size):
        if mine[row]:
            user = users[row]
            at = offsets[user] + seen[user]
            if at >= offsets[user + 1] or sequences[at] != items[row]:
                return False
            positions[row] = seen[user]
            seen[user] += 1
    return True
