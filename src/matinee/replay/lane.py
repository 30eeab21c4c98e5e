"""One arm's events in their turns: which one is asked about next, and which ones have to wait.

An event's turn comes when it is due and the event before it in its line was acknowledged. A line is all events of one
person, or, with the order of the log, all events there are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from matinee.replay.dialogue import Dialogue
from matinee.replay.journal import Journal, asked_records, told_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.replay.client import Pool
    from matinee.replay.plan import Plan
    from matinee.replay.stream import Stream
    from matinee.replay.words import Words

__all__ = ["Lane"]

_BATCH: Final = 500  # events told in advance in one request
_LOOK_AHEAD: Final = 4096  # events that wait for their line while later ones, of other people, are looked for


class Lane:
    """One arm.

    Args:
        arm: its name.
        stream, plan: what is played.
        folder: of the replay; what the arm's journals hold is not done again.
        pool: of connections to its server.
        words: what is said to it.
        session: how often the replay had been started before.

    Attributes:
        arm: its name.
        pool: its connections.
        told, all: events acknowledged in whatever session, and events there are to ask about.
        asked_now, told_now, late_now: of this session: questions, acknowledged events, and questions that were due
            for too long before this process noticed.
    """

    def __init__(
        self,
        arm: str,
        stream: Stream,
        plan: Plan,
        folder: Path,
        pool: Pool,
        words: Words,
        session: int,
    ) -> None:
        self.arm, self.pool, self._stream = arm, pool, stream
        self._is_asked = _marked(len(stream), asked_records(folder, arm, plan.k)["event"])
        self._is_told = _marked(len(stream), told_records(folder, arm)["event"])
        self._journal = Journal(folder, arm, plan.k)
        self._dialogue = Dialogue(arm, plan, pool, words, self._journal, session, told=self._finish, failed=self.fail)
        # By event. A list of Python's numbers would take forty bytes for each, in every arm.
        self._lines: Sequence[int] = stream.users.data if plan.order == "user" else bytes(len(stream))
        # By line, those that wait behind the one under way; a line with nothing under way is not here.
        self._behind: dict[int, deque[tuple[int, int, bool]]] = {}
        self._waiting = self._under_way = 0
        # How many events may be under way where they are due as soon as that is so; 0 where due times are given.
        self._slots = 0 if plan.arrivals.is_open_loop else plan.connections if plan.order == "user" else 1
        self._next = self._first(self._is_told)
        self._is_stopped = False
        self._over = asyncio.Event()
        self._failure: Exception | None = None
        self.told, self.all = sum(self._is_told), stream.asked
        self.asked_now = self.told_now = self.late_now = 0

    @property
    def has_begun(self) -> bool:
        """Whether there was a question, so that what comes before is told."""
        return any(self._is_asked)

    @property
    def first(self) -> int:
        """The first event that was not asked about; the end of the stream where there is none."""
        return self._first(self._is_asked)

    def tell_rest(self, before: int) -> None:
        """Tell what was asked about before this place of the stream, and not told: the session was stopped between."""
        event = self._first(self._is_told)
        while event < before:
            self.arrive(event, 0, late=False)
            event = self._first(self._is_told, event + 1)

    async def tell_past(self, advance: Callable[[int], None]) -> None:
        """Tell what comes before the first question; told again after a kill, it counts once."""
        for first in range(0, self._stream.asked_from, _BATCH):
            events = range(first, min(first + _BATCH, self._stream.asked_from))
            telling = asyncio.ensure_future(self._dialogue.tell_batch(events))
            over = asyncio.ensure_future(self._over.wait())
            await asyncio.wait([telling, over], return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            if self._over.is_set():
                telling.cancel()
                return
            telling.result()
            advance(len(events))

    async def run(self) -> None:
        """Until all events are told, or it was stopped and what was under way is done.

        Raises:
            ReplayError: the server does not take an event, or not in time.
            Exception: whatever `fail` was called with.
        """
        if self.told == self.all:
            self._over.set()
        self._fill()
        await self._over.wait()
        if self._failure:
            raise self._failure

    def arrive(self, event: int, due_us: int, *, late: bool) -> None:
        """The event is due (0: whenever its turn comes); asked about now, or when the one before it was told."""
        if self._is_told[event] or self._is_stopped:
            return
        behind = self._behind.get(self._lines[event])
        if behind is None:
            self._behind[self._lines[event]] = deque()
            self._start(event, due_us, late)
        else:
            behind.append((event, due_us, late))
            self._waiting += 1

    def stop(self) -> None:
        """Start nothing new; what was sent is waited for, and what was asked about is told."""
        self._is_stopped = True
        unsent = self._dialogue.take_back()
        self._under_way -= unsent
        self.asked_now -= unsent
        if not self._under_way:
            self._over.set()

    def fail(self, error: Exception) -> None:
        """It cannot go on, and `run` says why."""
        self._failure = self._failure or error
        self.abandon()

    def abandon(self) -> None:
        """Give up what is under way; the journal has it as far as it came."""
        self._is_stopped = True
        self.pool.close()
        self._over.set()

    def close(self) -> None:
        """Let go of connections and journal."""
        self.pool.close()
        self._journal.close()

    def _fill(self) -> None:
        """Take the next events of the stream into free slots."""
        while self._under_way < self._slots and self._waiting < _LOOK_AHEAD and not self._is_stopped:
            if self._next == len(self._stream):
                return
            event = self._next
            self._next += 1
            self.arrive(event, 0, late=False)

    def _start(self, event: int, due_us: int, late: bool) -> None:
        self._under_way += 1
        if self._is_asked[event]:  # in another session, which is no time that anybody has waited
            self._dialogue.tell(event, self.pool.now_us())
            return
        self.asked_now += 1
        self.late_now += late
        self._dialogue.ask(event, due_us or self.pool.now_us(), late=late)

    def _finish(self, event: int) -> None:
        """The event was acknowledged; the next one in its line may start."""
        self._is_told[event] = 1
        self._under_way -= 1
        self.told += 1
        self.told_now += 1
        line = self._lines[event]
        behind = self._behind[line]
        if behind and not self._is_stopped:
            self._waiting -= 1
            self._start(*behind.popleft())
        else:
            del self._behind[line]
        self._fill()
        if self.told == self.all or (self._is_stopped and not self._under_way):
            self._over.set()

    def _first(self, marks: bytearray, since: int = 0) -> int:
        """The first event from `since` on that has no mark; the end of the stream where there is none."""
        found = marks.find(0, max(since, self._stream.asked_from))
        return len(self._stream) if found < 0 else found


def _marked(size: int, events: NDArray[np.uint32]) -> bytearray:
    marks = np.zeros(size, np.uint8)
    marks[events] = 1
    return bytearray(marks)
