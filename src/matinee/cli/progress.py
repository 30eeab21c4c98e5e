"""The two listeners to long work: a bar with rate, time left and memory on a terminal, one line a phase elsewhere."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from matinee.sizes import show_size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from matinee.schema.progress import Progress

__all__ = ["Bar", "Lines", "listener"]

_REDRAWS_PER_S = 8
# `advance` is called for every piece of work; the bar hears of it at most this often.
_UPDATE_EVERY_S = 1 / _REDRAWS_PER_S


def listener(stream: TextIO) -> Progress:
    """A bar where `stream` is a terminal, lines otherwise."""
    return Bar(stream) if stream.isatty() else Lines(stream)


class Lines:
    """One line when a phase ends, and every line that is said; for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase = ""
        self._unit = ""
        self._done = 0
        self._began_s = 0.0

    def start(self, phase: str, total: int | None, unit: str) -> None:
        """Remember the phase; a line about it is only worth reading once it has a result."""
        del total
        self._phase, self._unit, self._done, self._began_s = phase, unit, 0, time.monotonic()

    def advance(self, amount: int) -> None:
        """Count."""
        self._done += amount

    def finish(self, note: str = "") -> None:
        """Say what the phase did and how fast."""
        if self._phase:
            self.say(summary(self._phase, self._done, self._unit, time.monotonic() - self._began_s, note))
            self._phase = ""

    def say(self, line: str) -> None:
        """Print the line at once."""
        print(line, file=self._stream, flush=True)


class Bar:
    """One live line while a phase runs, replaced by its summary when it ends."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich

        self._console = Console(file=stream, markup=False, highlight=False)
        self._lines = Lines(stream)
        self._live: RichProgress | None = None
        self._task: TaskID | None = None
        self._done = 0
        self._unit = ""
        self._began_s = self._updated_s = 0.0

    def start(self, phase: str, total: int | None, unit: str) -> None:
        """Show the phase."""
        self._close()
        self._lines.start(phase, total, unit)
        self._live = _live_line(self._console)
        self._task = self._live.add_task(phase, total=total, told=_told(0, 0, unit))
        self._done, self._updated_s, self._unit, self._began_s = 0, 0.0, unit, time.monotonic()
        self._live.start()

    def advance(self, amount: int) -> None:
        """Count, and redraw now and then."""
        self._lines.advance(amount)
        self._done += amount
        now_s = time.monotonic()
        if self._live is not None and self._task is not None and now_s - self._updated_s >= _UPDATE_EVERY_S:
            self._updated_s = now_s
            told = _told(self._done, now_s - self._began_s, self._unit)
            self._live.update(self._task, completed=self._done, told=told)

    def finish(self, note: str = "") -> None:
        """Take the bar away and leave the phase's line."""
        self._close()
        self._lines.finish(note)

    def say(self, line: str) -> None:
        """Print the line above the bar."""
        self._console.print(line, soft_wrap=True)

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def summary(phase: str, done: int, unit: str, wall_s: float, note: str) -> str:
    """'parse: 2.0 MB in 0.4 s (5.0 MB/s); note', without the parts that say nothing."""
    amount = f" {_amount(done, unit)}" if done else ""
    rate = f" ({_amount(done / wall_s, unit)}/s)" if done and wall_s >= 0.1 else ""
    return f"{phase}:{amount} in {wall_s:.1f} s{rate}{'; ' + note if note else ''}"


def _live_line(console: Console) -> RichProgress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - see Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    return Progress(
        *columns,
        console=console,
        transient=True,
        refresh_per_second=_REDRAWS_PER_S,
    )


def _told(done: int, wall_s: float, unit: str) -> str:
    """Amount, rate and this process's memory, as the live line shows them."""
    rate = f", {_amount(done / wall_s, unit)}/s" if done and wall_s else ""
    return f"{_amount(done, unit)}{rate}, {show_size(_memory_bytes())} in memory"


def _amount(done: float, unit: str) -> str:
    return show_size(done) if unit == "bytes" else f"{done:,.0f} {unit}"


def _memory_bytes() -> int:
    """Resident memory of this process; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
