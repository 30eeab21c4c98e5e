"""Lets others see how far a command has come: a listener that passes everything on, and keeps a small file."""

from __future__ import annotations

import os
import sys
import time
import weakref
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from matinee.processes import birth_of
from matinee.schema.work import PROGRESS, Work, works

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matinee.schema.progress import Progress

__all__ = ["Noting"]

_EVERY_S: Final = 0.3


class Noting:
    """A listener that also keeps `progress/<pid>.json` of a data folder, which `matinee dashboard` reads.

    The file is there for as long as the listener is. A data folder that is not there is not made for it, and a file
    that cannot be written stops no command.

    Args:
        listener: who else is told.
        data_dir: the data folder.
    """

    def __init__(self, listener: Progress, data_dir: Path) -> None:
        self._listener, self._data_dir = listener, data_dir.absolute()
        self._command, self._pid = _words(sys.argv[1:]), os.getpid()
        self._birth = birth_of(self._pid)
        self._phase = self._unit = ""
        self._total: int | None = None
        self._done, self._began = 0, _now()
        self._written_s, self._ready = 0.0, False

    def start(self, phase: str, total: int | None, unit: str) -> None:
        """Note the phase."""
        self._listener.start(phase, total, unit)
        self._phase, self._unit, self._total, self._done = phase, unit, total, 0
        self._began = _now()
        self._write()

    def advance(self, amount: int) -> None:
        """Count, and note it now and then."""
        self._listener.advance(amount)
        self._done += amount
        if time.monotonic() - self._written_s >= _EVERY_S:
            self._write()

    def finish(self, note: str = "") -> None:
        """Note that the phase is over."""
        self._listener.finish(note)
        self._phase = ""
        self._write()

    def say(self, line: str) -> None:
        """Pass it on."""
        self._listener.say(line)

    def _write(self) -> None:
        self._written_s = time.monotonic()
        with suppress(OSError):  # nobody's command fails because nobody can watch it
            if self._prepare():
                work = Work(
                    self._command, self._pid, self._birth, self._phase, self._done, self._total, self._unit,
                    self._began, _now(),
                )  # fmt: skip
                work.write(self._data_dir / PROGRESS)

    def _prepare(self) -> bool:
        """Make room, once the data folder is there, and see to it that the file goes when this listener does."""
        if not self._ready and self._data_dir.is_dir():
            (self._data_dir / PROGRESS).mkdir(exist_ok=True)
            works(self._data_dir, clean=True)
            weakref.finalize(self, _remove, self._data_dir / PROGRESS / f"{self._pid}.json", self._pid)
            self._ready = True
        return self._ready


def _remove(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # and not in a child that was forked off
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _words(argv: Sequence[str]) -> str:
    """The command's own words."""
    from matinee.cli.app import COMMANDS  # noqa: PLC0415 - loaded already where the command line runs

    typed = " ".join(argv) + " "
    return max((each.words for each in COMMANDS if typed.startswith(f"{each.words} ")), key=len, default="")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
