"""A look at all events before the first is written, for what can't be known on the way: k-cores, totals per user."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from matinee.errors import SourceFormatError
from matinee.etl.ids import DenseIds
from matinee.etl.order import Batch, Room
from matinee.etl.spill import Spill, pack

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from numpy.typing import NDArray

    from matinee.etl.read import Log
    from matinee.schema.transform_settings import TransformSettings

__all__ = ["Survey", "survey"]


@dataclass(slots=True)
class Survey:
    """What the look found. From here on, users and items are known by provisional numbers, from 1.

    Attributes:
        events, repeats, below_core, core_rounds: counts.
        first, last: smallest and largest time that remains.
        totals: events that remain by provisional user number.
        user_codes, item_codes: the code of each provisional number, from number 1 on.
    """

    events: int
    repeats: int
    below_core: int
    core_rounds: int
    first: int
    last: int
    totals: NDArray[np.int64]
    user_codes: NDArray[np.uint32]
    item_codes: NDArray[np.uint32]
    _tape: Spill
    _one_tie: list[bool]
    _live_users: NDArray[np.bool_]
    _live_items: NDArray[np.bool_]

    def batches(self) -> Generator[Batch]:
        """The events that remain, in order, with provisional numbers for ids."""
        for number, one_tie in enumerate(self._one_tie):
            events = self._tape.run(number)
            keep = self._live_users[events.user] & self._live_items[events.item]
            if not keep.all():
                events = events.take(keep)
            if len(events):
                yield Batch(events, 0, one_tie)

    def close(self) -> None:
        """Give memory and disk back."""
        self._tape.close()


def survey(batches: Iterable[Batch], log: Log, settings: TransformSettings, room: Room) -> Survey:
    """Walk over all events once, and for a k-core as often as it takes.

    Raises:
        SourceFormatError: nothing is left.
    """
    tape = Spill(1, room.folder, room.memory_bytes)
    users = DenseIds(log.largest_user, room.memory_bytes, log.users.numbered)
    items = DenseIds(log.largest_item, room.memory_bytes, log.items.numbered)
    one_tie: list[bool] = []
    events = repeats = 0
    for batch in batches:
        repeats += batch.repeats
        events += len(batch.events)
        if len(batch.events):
            numbered = replace(
                batch.events,
                user=users.assign(batch.events.user).astype(np.uint32),
                item=items.assign(batch.events.item).astype(np.uint32),
            )
            tape.append(pack(numbered, np.zeros(len(numbered), np.int32), 1))
            one_tie.append(batch.of_one_tie)
    found = Survey(
        events, repeats, 0, 0, 0, 0, np.zeros(0, np.int64), users.codes(), items.codes(), tape, one_tie,
        np.ones(users.count + 1, np.bool_), np.ones(items.count + 1, np.bool_),
    )  # fmt: skip
    _keep_core(found, settings.min_user_events, settings.min_item_events)
    if not found.events:
        tape.close()
        raise SourceFormatError(
            f"no event is left of {events:,} after --min-user-events {settings.min_user_events} and --min-item-events "
            f"{settings.min_item_events}, applied until nothing changed; lower them"
        )
    return found


def _keep_core(found: Survey, least_user: int, least_item: int) -> None:
    """Drop users and items with too few events, round by round, and count what remains."""
    before = found.events
    while True:
        by_user = np.zeros(found._live_users.size, np.int64)  # noqa: SLF001 - this function is Survey's other half
        by_item = np.zeros(found._live_items.size, np.int64)  # noqa: SLF001 - as above
        times: list[int] = []
        for batch in found.batches():
            by_user += np.bincount(batch.events.user, minlength=by_user.size)
            by_item += np.bincount(batch.events.item, minlength=by_item.size)
            times += [int(batch.events.time[0]), int(batch.events.time[-1])]
        few_users = (by_user > 0) & (by_user < least_user)
        few_items = (by_item > 0) & (by_item < least_item)
        if not (few_users.any() or few_items.any()):
            break
        found._live_users &= ~few_users  # noqa: SLF001 - as above
        found._live_items &= ~few_items  # noqa: SLF001 - as above
        found.core_rounds += 1
    found.totals = by_user
    found.events = int(by_user.sum())
    found.below_core = before - found.events
    if times:
        found.first, found.last = times[0], times[-1]
