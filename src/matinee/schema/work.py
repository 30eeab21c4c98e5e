"""What a command is doing right now: one small file a process, which the command line writes and others read."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Self

from matinee.processes import is_same

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PROGRESS", "Work", "works"]

PROGRESS: Final = "progress"  # in the data folder
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Work:
    """One process at work.

    Attributes:
        command: its words, as in 'versions verify'; none of its arguments, which may hold secrets.
        pid, birth: the process, as `matinee.processes` knows one again.
        phase: what it is at; empty between two phases.
        done, total, unit: how far the phase has come; `total` None is not known.
        began, updated: when the phase began, and when this was written; ISO 8601 in UTC.
    """

    command: str
    pid: int
    birth: str
    phase: str
    done: int
    total: int | None
    unit: str
    began: str
    updated: str

    @property
    def share(self) -> float | None:
        """How much of the phase is done, 0 to 1; None where its end is not known."""
        return min(1.0, self.done / self.total) if self.phase and self.total else None

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The file's; None where it is none of ours."""
        try:
            plain = json.loads(path.read_bytes())
            if plain.pop("format") != _FORMAT:
                return None
            work = cls(**plain)
            counts = (work.pid, work.done, 0 if work.total is None else work.total)
            texts = (work.command, work.birth, work.phase, work.unit, work.began, work.updated)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        sound = all(type(count) is int for count in counts) and all(isinstance(text, str) for text in texts)
        return work if sound else None

    def write(self, folder: Path) -> Path:
        """Into the file of this process in `folder`, whole or not at all; not synced, it is old in a moment.

        Raises:
            OSError: it cannot be written.
        """
        path = folder / f"{self.pid}.json"
        beside = folder / f".{self.pid}.json"
        beside.write_text(json.dumps({"format": _FORMAT, **asdict(self)}) + "\n", encoding="utf-8")
        beside.replace(path)
        return path


def works(data_dir: Path, *, clean: bool = False) -> list[Work]:
    """The processes that are at work on a data folder, the oldest first; `clean` removes the files of dead ones."""
    found = []
    for path in sorted((data_dir / PROGRESS).glob("*.json")):
        work = Work.read(path)
        if work is not None and is_same(work.pid, work.birth):
            found.append(work)
        elif clean and work is not None and work.pid != os.getpid():
            with suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda work: (work.began, work.pid))
