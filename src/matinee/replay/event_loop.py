"""The event loop that a session runs in; beside another one where a loop runs here already, as in a notebook's cell."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    from matinee.replay.run import Run

__all__ = ["run_in_loop"]


def run_in_loop(run: Run) -> None:
    """Play the session; an interrupt, by a signal or by a notebook's button, stops it politely.

    Raises:
        Exception: see `Run.play`.
    """
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _run(runner, run)
        return None
    # A thread has no loop yet. Signals go to the main thread, which does nothing but wait here.
    loop = runner.get_loop()
    with ThreadPoolExecutor(1, "replay") as pool:
        playing = pool.submit(_run, runner, run)
        while True:
            try:
                return playing.result()
            except KeyboardInterrupt:
                with suppress(RuntimeError):  # it has just ended by itself
                    loop.call_soon_threadsafe(run.interrupt)


def _run(runner: asyncio.Runner, run: Run) -> None:
    with runner:
        runner.run(run.play())
