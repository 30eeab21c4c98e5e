"""A worker's side of the log in Postgres: many tellers' events in one commit, and what other workers commit, followed.

Postgres is the truth and its order the only order: memory changes by what was read back from the log or committed to
it, place by place, so all workers have the same histories.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from matinee.database.told_log import ToldLog
from matinee.errors import DatabaseError, DiskFullError
from matinee.serve.refusals import BusyError, ConflictError, NotDurableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from matinee.database.told import Told
    from matinee.database.told_log import Appended, LoggedEvent
    from matinee.serve.measures import Measures
    from matinee.serve.people import People
    from matinee.serve.position import Position

__all__ = ["Ledger"]

_COMMIT_EVENTS: Final = 2000  # in one transaction
_WAITING_EVENTS: Final = 20_000
_RETRY_S: Final = 0.2
_LOOK_S: Final = 1.0  # how often the log is looked at although nobody asked

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Telling:
    events: Sequence[tuple[UUID, Told]]
    done: asyncio.Future[int] = field(repr=False)


class Ledger:
    """Tells `people` what the log says.

    Args:
        url, dataset: where the log is.
        people: changed by nobody else.
        position: shared with the other workers.
        measures: told of commits.
        after: a place up to which `people` knows the log.
    """

    def __init__(
        self, url: str, dataset: str, people: People, position: Position, measures: Measures, after: int = 0
    ) -> None:
        self._url, self._dataset = url, dataset
        self._people, self._position, self._measures = people, position, measures
        self._writer: ToldLog | None = None
        self._reader: ToldLog | None = None
        self._place = self._looked = after
        self._waiting: list[_Telling] = []
        self._waiting_events = 0
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = False
        self.reachable = False

    async def start(self) -> None:
        """Read all of the log that is not known, however long Postgres takes to answer; then follow it."""
        while True:
            try:
                self._reader = await ToldLog.open(self._url, self._dataset)
                self._looked = self._position.read()
                async for events in self._reader.all(self._place):
                    self._apply(events)
                break
            except DatabaseError as error:
                _log.warning("%s", error)
                await self._forget_reader()
                await asyncio.sleep(_RETRY_S)
        self.reachable = True
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._look())]

    async def stop(self) -> None:
        """Commit what waits, then let go of Postgres."""
        self._ended = True
        self._wake.set()
        if self._tasks:
            writing, looking = self._tasks
            looking.cancel()
            await asyncio.gather(writing, looking, return_exceptions=True)
        await self._forget_reader()
        await self._forget_writer()

    async def tell(self, events: Sequence[tuple[UUID, Told]]) -> int:
        """How many of the events were new; all of them are on disk, and in the histories, when this returns.

        Raises:
            BusyError: too many wait already.
            NotDurableError: Postgres does not answer or has no space; tell the same again later.
            ConflictError: a number is another event's; the other events are in.
        """
        if self._waiting_events + len(events) > _WAITING_EVENTS:
            raise BusyError(f"{self._waiting_events:,} events wait for Postgres; come back in a second")
        telling = _Telling(events, asyncio.get_running_loop().create_future())
        self._waiting.append(telling)
        self._waiting_events += len(events)
        self._wake.set()
        return await telling.done

    async def up_to_date(self) -> None:
        """Read what others have acknowledged, so that an answer given after it knows all of that.

        Raises:
            NotDurableError: there is such a thing, and Postgres does not answer.
        """
        if self._position.read() <= max(self._place, self._looked):
            return
        try:
            await self._follow()
        except DatabaseError as error:
            raise NotDurableError(f"events that were acknowledged cannot be read: {error}") from None

    async def _write(self) -> None:
        """One commit after the other; what comes while one is under way goes into the next."""
        while not (self._ended and not self._waiting):
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            tellings = self._take()
            events = [event for telling in tellings for event in telling.events]
            began_s = time.perf_counter()
            try:
                if self._writer is None:
                    self._writer = await ToldLog.open(self._url, self._dataset)
                appended = await self._writer.append(events, after=self._place)
            except (DatabaseError, DiskFullError) as error:
                await self._forget_writer()
                self._refuse(tellings, error)
            except Exception as error:  # noqa: BLE001 - nobody may wait for ever, and the next commit may do better
                _log.exception("a commit failed")
                await self._forget_writer()
                self._refuse(tellings, error)
            else:
                self.reachable = True
                self._measures.committed(appended.new, time.perf_counter() - began_s)
                self._apply(appended.log)
                self._position.reach(self._place)
                _acknowledge(tellings, appended)

    def _take(self) -> list[_Telling]:
        """The next commit: whole tellings, in the order in which they came."""
        count = size = 0
        for telling in self._waiting:
            if count and size + len(telling.events) > _COMMIT_EVENTS:
                break
            count, size = count + 1, size + len(telling.events)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_events -= size
        return taken

    def _refuse(self, tellings: list[_Telling], error: Exception) -> None:
        self.reachable = False
        for telling in tellings:
            if not telling.done.done():
                telling.done.set_exception(NotDurableError(f"not written down: {error}"))

    async def _look(self) -> None:
        """Look now and then: a worker that was killed between commit and acknowledgement has told nobody."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._follow()
                self.reachable = True
            except DatabaseError as error:
                if self.reachable:
                    _log.warning("%s", error)
                self.reachable = False
            except Exception:  # noqa: BLE001 - as above
                _log.exception("looking at the log failed")
                self.reachable = False
                await self._forget_reader()

    async def _follow(self) -> None:
        async with self._reading:
            looked = self._position.read()
            try:
                if self._reader is None:
                    self._reader = await ToldLog.open(self._url, self._dataset)
                self._apply(await self._reader.since(self._place))
            except DatabaseError:
                await self._forget_reader()
                raise
            self._looked = max(self._looked, looked)

    def _apply(self, events: Sequence[LoggedEvent]) -> None:
        # What two connections have read is applied once: a place is behind the last one or it is known.
        for place, user, item, timestamp in events:
            if place > self._place:
                self._people.tell(user, item, timestamp)
                self._place = place

    async def _forget_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(Exception):
                await reader.close()

    async def _forget_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(Exception):
                await writer.close()


def _acknowledge(tellings: list[_Telling], appended: Appended) -> None:
    first = 0
    for telling in tellings:
        cut = slice(first, first + len(telling.events))
        first = cut.stop
        if telling.done.done():
            continue  # whoever told it is gone
        conflicts = [
            event.number for (_, event), clash in zip(telling.events, appended.conflicts[cut], strict=True) if clash
        ]
        if conflicts:
            telling.done.set_exception(
                ConflictError(f"number {conflicts[0]} was given to another event before; the others are written down")
            )
        else:
            telling.done.set_result(sum(appended.new[cut]))
