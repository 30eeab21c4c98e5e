"""How long work tells of itself, without knowing who listens (a terminal, a log, nobody)."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """A listener to one stage's phases; phases follow each other and do not nest."""

    def start(self, phase: str, total: int | None, unit: str) -> None:
        """A phase begins: `total` units of work, or None where it isn't known. `unit` is 'bytes', 'rows' or 'files'."""

    def advance(self, amount: int) -> None:
        """`amount` more units are done; called from one thread at a time, often."""

    def finish(self, note: str = "") -> None:
        """The phase is over; `note` says in a few words what came of it."""

    def say(self, line: str) -> None:
        """One line a person should read (a failed mirror, a recognised unit), in or between phases."""


class Silent:
    """A listener that drops everything; the default of every Python function."""

    def start(self, phase: str, total: int | None, unit: str) -> None:
        """Ignore."""

    def advance(self, amount: int) -> None:
        """Ignore."""

    def finish(self, note: str = "") -> None:
        """Ignore."""

    def say(self, line: str) -> None:
        """Ignore."""
