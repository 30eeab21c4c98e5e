"""The listener to a replay on a terminal: a bar before and after, its picture while it runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TextIO

from matinee.cli.progress import Bar
from matinee.cli.replay_picture import picture
from matinee.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ReplayScreen"]


class ReplayScreen:
    """A `Progress`, and `show` for `matinee.replay.live`, which calls it from a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar = Bar(stream)
        self._screen: Screen | None = None
        self._lock = threading.Lock()

    def start(self, phase: str, total: int | None, unit: str) -> None:
        """Show the phase, unless the picture is there: it tells more."""
        with self._lock:
            if self._screen is None:
                self._bar.start(phase, total, unit)

    def advance(self, amount: int) -> None:
        """Count."""
        with self._lock:
            if self._screen is None:
                self._bar.advance(amount)

    def finish(self, note: str = "") -> None:
        """Leave the phase's line."""
        with self._lock:
            if self._screen is None:
                self._bar.finish(note)

    def say(self, line: str) -> None:
        """Print the line above whatever moves."""
        with self._lock:
            (self._screen or self._bar).say(line)

    def show(self, document: Mapping[str, Any]) -> None:
        """Draw the document of `live.json`; the last one stays on the terminal."""
        with self._lock:
            if self._screen is None:
                self._bar.finish()
                self._screen = Screen(self._stream)
            self._screen.show(picture(document, *self._screen.size))
            if document["state"] != "running":
                self._screen.close()
                self._screen = None
