"""One finding of a checkup, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level", "Report", "note", "ok", "problem"]

# 'note': something works less well than it could, or is missing and not needed by everybody. 'problem': something that
# people will run into.
Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one place, and what to do about it.

    Attributes:
        check: what was looked at, in a word or two.
        level: how bad it is.
        found: what is there.
        advice: what to do, in one line; empty where nothing has to be done.
    """

    check: str
    level: Level
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole checkup, in the order in which things were looked at."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What people will run into."""
        return self._of("problem")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is worth knowing."""
        return self._of("note")

    def _of(self, level: Level) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == level)


def ok(check: str, found: str) -> Finding:
    """All is well here."""
    return Finding(check, "ok", found)


def note(check: str, found: str, advice: str) -> Finding:
    """Worth knowing."""
    return Finding(check, "note", found, advice)


def problem(check: str, found: str, advice: str) -> Finding:
    """People will run into it."""
    return Finding(check, "problem", found, advice)
