"""Open-loop arrivals: every event arrives in all arms when it is due, whatever the servers do meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from matinee.replay.clock import Clock, Timer, due_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matinee.replay.lane import Lane
    from matinee.replay.plan import Plan
    from matinee.replay.stream import Stream

__all__ = ["LATE_US", "Timeline"]

LATE_US: Final = 10_000  # noticed later than this, an event is late through this process' own fault
_AT_ONCE: Final = 500  # events in one turn of the loop, so that answers are read in between
_BEFORE_FIRST_US: Final = 50_000


class Timeline:
    """The due times of one session, fixed when it begins.

    A replay that is taken up again goes on as if no time had passed: the first event that an arm has not asked about
    is due at the beginning, and all others as far from it as they were. What was asked about before it and not told
    is told at once.
    """

    def __init__(self, stream: Stream, plan: Plan, lanes: Sequence[Lane], clock: Clock) -> None:
        self._from, self._lanes, self._clock = stream.asked_from, lanes, clock
        after_us = due_us(stream.times_s[stream.asked_from :], plan.arrivals)
        # Walking through what is done already would take time in which what is due is not noticed.
        self._next = min(lane.first for lane in lanes) - stream.asked_from
        first = min(self._next, after_us.size - 1)
        self._due_us = after_us + (clock.now_us() + _BEFORE_FIRST_US - int(after_us[first]))
        self._timer = Timer(clock)

    def start(self) -> None:
        """From here on events arrive."""
        for lane in self._lanes:
            lane.tell_rest(self._from + self._next)
        asyncio.get_running_loop().add_reader(self._timer.handle, self._ring)
        if self._next < self._due_us.size:
            self._timer.set(int(self._due_us[self._next]))

    def stop(self) -> None:
        """No more events arrive."""
        asyncio.get_running_loop().remove_reader(self._timer.handle)
        self._timer.close()

    def _ring(self) -> None:
        self._timer.heard()
        now_us = self._clock.now_us()
        stop = min(self._next + _AT_ONCE, int(self._due_us.searchsorted(now_us, side="right")))
        for place in range(self._next, stop):
            due = int(self._due_us[place])
            for lane in self._lanes:
                lane.arrive(self._from + place, due, late=now_us - due > LATE_US)
        self._next = max(stop, self._next)
        if self._next < self._due_us.size:
            self._timer.set(int(self._due_us[self._next]))
