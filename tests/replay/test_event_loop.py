"""A session inside a loop that runs already, as a notebook's kernel has one, and how it is interrupted there."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from matinee.replay.event_loop import run_in_loop

if TYPE_CHECKING:
    from matinee.replay.run import Run


class Session:
    """Plays for as long as nobody interrupts it, or until it fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.interrupts = threading.Event(), 0
        self._error = error

    async def play(self) -> None:
        self._over = asyncio.Event()
        self.begun.set()
        if self._error:
            raise self._error
        await self._over.wait()

    def interrupt(self) -> None:
        self.interrupts += 1
        self._over.set()


def in_a_cell(session: Session) -> None:
    """As a kernel does: its loop is no Runner's, so Python's own handler raises KeyboardInterrupt."""

    async def cell() -> None:
        run: Run = session  # type: ignore[assignment]  # all that is asked of it
        run_in_loop(run)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(cell())
    finally:
        loop.close()


def test_an_interrupt_stops_it_politely() -> None:
    session = Session()

    def press() -> None:
        session.begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    in_a_cell(session)
    pressing.join()
    assert session.interrupts == 1


def test_what_it_fails_with_is_raised() -> None:
    with pytest.raises(OSError, match="the disk"):
        in_a_cell(Session(OSError("the disk")))
