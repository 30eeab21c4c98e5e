"""What happened while the clock on the wall went on: at most 240 windows of one width, which doubles as they fill.

A window has what was answered, given up or acknowledged in it. The time in which a replay was killed and not yet taken
up again is no part of it: each session's windows follow those of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matinee.replay.latency import Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["MOST_WINDOWS", "Window", "Windows"]

MOST_WINDOWS: Final = 240
_NARROWEST_US: Final = 250_000
_SHORTEST_US: Final = 100_000  # a window at either end may cover less, which says nothing about events a second
_SCALE: Final = Scale(2)  # a window's percentiles are at most 1% too high; three digits would cost ten times the memory


@dataclass(slots=True)
class Window:
    """Counts, which add up when two windows become one.

    Attributes:
        ranks: (k + 1,) answered questions by rank of the target, place 0 for all beyond k.
        latencies: (_SCALE.size,) of answered questions.
        told: events acknowledged.
        unanswered: questions given up.
        bytes_out, bytes_in: of both.
    """

    ranks: NDArray[np.int64]
    latencies: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_SCALE.size, np.int64))
    told: int = 0
    unanswered: int = 0
    bytes_out: int = 0
    bytes_in: int = 0

    def add(self, other: Window) -> None:
        """Have the other's as well."""
        self.ranks += other.ranks
        self.latencies += other.latencies
        self.told += other.told
        self.unanswered += other.unanswered
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in


class Windows:
    """The windows of one arm; batches may come in any order, and the result is the same.

    Args:
        k: length of a list.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._width_us = _NARROWEST_US
        self._windows: dict[tuple[int, int], Window] = {}  # by session and number of the window since 1970
        self._extents_us: dict[int, tuple[int, int]] = {}  # of each session: when it first meant to do something, and
        self._ends_us: dict[int, tuple[int, int]] = {}  # when it was done with something for the first and last time

    def add_asked(self, batch: Mapping[str, NDArray[np.int64]], bins: NDArray[np.int64]) -> None:
        """Questions: fields of `Asked`, (n,) each, and the place of each in `Window.ranks`, -1 without an answer."""
        for window, chosen in self._chosen(batch):
            answered = chosen & (bins >= 0)
            window.ranks += np.bincount(bins[answered], minlength=self._k + 1)
            latencies_us = batch["done_us"][answered] - batch["due_us"][answered]
            window.latencies += _SCALE.counted(latencies_us)
            window.unanswered += int(chosen.sum() - answered.sum())
            _add_bytes(window, batch, chosen)

    def add_told(self, batch: Mapping[str, NDArray[np.int64]]) -> None:
        """Acknowledged events: fields of `Told`, (n,) each."""
        for window, chosen in self._chosen(batch):
            window.told += int(chosen.sum())
            _add_bytes(window, batch, chosen)

    @property
    def busy_s(self) -> float:
        """Seconds from the first that a session meant to do to the last that it did, of all sessions."""
        return sum(last - first for first, last in self._extents_us.values()) / 1e6

    def as_json(self, means: Callable[[NDArray[np.int64]], dict[str, float | None]]) -> list[dict[str, Any]]:
        """In order of time, also those in which nothing happened; `means` turns ranks into metrics."""
        found = []
        begins_us = 0  # of a session, on a clock that stops between sessions
        for session, (first_us, last_us) in sorted(self._ends_us.items()):
            first, last = first_us // self._width_us, last_us // self._width_us
            for number in range(first, last + 1):
                window = self._windows.get((session, number)) or self._new()
                at_us = begins_us + (number - first) * self._width_us
                found.append(self._plain(window, session, number, at_us, means))
            begins_us += (last + 1 - first) * self._width_us
        return found

    def _plain(
        self, window: Window, session: int, number: int, at_us: int, means: Callable[..., dict[str, float | None]]
    ) -> dict[str, Any]:
        begun_us, ended_us = self._extents_us[session]
        # At either end a session covers less than the window's width.
        covered_us = min((number + 1) * self._width_us, ended_us) - max(number * self._width_us, begun_us)
        has_any = bool(window.latencies.any())
        return {
            "at_s": at_us / 1e6,
            "for_s": max(covered_us, 0) / 1e6,
            "session": session,
            "events": window.told,
            **means(window.ranks),
            "p50_ms": _SCALE.percentile_us(window.latencies, 50) / 1000 if has_any else None,
            "p99_ms": _SCALE.percentile_us(window.latencies, 99) / 1000 if has_any else None,
            "per_s": window.told * 1e6 / max(covered_us, _SHORTEST_US),
            "unanswered": window.unanswered,
            "bytes_in": window.bytes_in,
            "bytes_out": window.bytes_out,
        }

    def _chosen(self, batch: Mapping[str, NDArray[np.int64]]) -> Iterator[tuple[Window, NDArray[np.bool_]]]:
        """Each window that the batch falls into, and which of its rows are in it; (n,)."""
        sessions, done_us = batch["session"].astype(np.int64), batch["done_us"]
        for session in np.unique(sessions).tolist():
            here = sessions == session
            self._extend(session, int(batch["due_us"][here].min()), int(done_us[here].min()), int(done_us[here].max()))
        while self._width_us < np.iinfo(np.int64).max // 2 and self._count() > max(MOST_WINDOWS, len(self._ends_us)):
            self._widen()
        numbers = done_us // self._width_us
        for session, number in sorted(set(zip(sessions.tolist(), numbers.tolist(), strict=True))):
            window = self._windows.setdefault((session, number), self._new())
            yield window, (sessions == session) & (numbers == number)

    def _extend(self, session: int, due_us: int, first_us: int, last_us: int) -> None:
        begun, ended = self._extents_us.get(session, (due_us, last_us))
        self._extents_us[session] = min(begun, due_us), max(ended, last_us)
        first, last = self._ends_us.get(session, (first_us, last_us))
        self._ends_us[session] = min(first, first_us), max(last, last_us)

    def _count(self) -> int:
        ends = self._ends_us.values()
        return sum(last // self._width_us - first // self._width_us + 1 for first, last in ends)

    def _widen(self) -> None:
        self._width_us *= 2
        before, self._windows = self._windows, {}
        for (session, number), window in before.items():
            self._windows.setdefault((session, number // 2), self._new()).add(window)

    def _new(self) -> Window:
        return Window(np.zeros(self._k + 1, np.int64))


def _add_bytes(window: Window, batch: Mapping[str, NDArray[np.int64]], chosen: NDArray[np.bool_]) -> None:
    window.bytes_out += int(batch["bytes_out"][chosen].sum())
    window.bytes_in += int(batch["bytes_in"][chosen].sum())
