"""A replay while it runs: what its observers hear becomes `live.json` once a second, and whatever a person looks at.

The engine's thread does no more than put an entry into a queue. A thread of its own adds up, writes and draws, and
gives way to the engine every half millisecond; benchmarks/live.py measures what that costs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

from matinee.errors import MatineeError
from matinee.network import Meter
from matinee.replay.clock import due_us
from matinee.replay.journal import titles
from matinee.replay.live_line import line
from matinee.replay.tally import Tally
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from matinee.network import Reading
    from matinee.replay.journal import Asked, Told
    from matinee.replay.observer import Observer
    from matinee.replay.stage import Begun

__all__ = ["LIVE", "Live", "State", "live"]

LIVE: Final = "live.json"
State = Literal["running", "finished", "interrupted", "failed"]

_FORMAT: Final = 1
_EVERY_S: Final = 1.0
_MOST_SHARE: Final = 0.1  # of a processor's time; where a document takes longer than 0.1 s, it is made more rarely
_LINE_EVERY_S: Final = 10.0
_PACE_WINDOWS: Final = 10
_GIVE_WAY_S: Final = 0.0005  # Python's own 5 ms would be seen in the latencies


def live(
    *, show: Callable[[dict[str, Any]], None] | None = None, progress: Progress | None = None
) -> Callable[[Begun], AbstractContextManager[Sequence[Observer]]]:
    """What `matinee.replay.stage.play` takes as `watch`; for the arguments see `Live`."""

    @contextmanager
    def watch(begun: Begun) -> Iterator[Sequence[Observer]]:
        with Live(begun, show=show, progress=progress) as observer:
            yield [observer]

    return watch


class Live:
    """An `Observer` of one session of a replay, and a context manager around it.

    How the block is left decides how the session is said to have ended: without an exception it `finished`, by an
    interrupt it was `interrupted`, by any other it `failed`. Trouble with live.json stops no replay: it is said once.

    Args:
        begun: the session; what the journals of its folder tell already is counted.
        show: called with each document, in the thread that makes them. Without it `progress` is told a line now and
            then.
        progress: see above.
    """

    def __init__(
        self, begun: Begun, *, show: Callable[[dict[str, Any]], None] | None = None, progress: Progress | None = None
    ) -> None:
        record, stream, self._folder = begun.record, begun.stream, begun.folder
        arms = [arm.name for arm in record.arms]
        self._tally = Tally.from_journals(self._folder, stream, record.plan, arms, models=_Titles(self._folder, arms))
        asked_s, arrivals = stream.times_s[stream.asked_from :], record.plan.arrivals
        self._due_us = due_us(asked_s, arrivals) if arrivals.is_open_loop else None
        self._events = stream.asked
        self._facts = {"format": _FORMAT, "id": record.id, "plan": record.plan.as_json()}
        self._began = record.sessions[-1].began
        self._show, self._progress = show, progress or Silent()
        self._asked: deque[tuple[str, Asked]] = deque()
        self._told: deque[tuple[str, Told]] = deque()
        self._meter = _meter()
        self._said_s = time.monotonic()
        self._is_in_trouble = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="live view", daemon=True)

    def asked(self, arm: str, entry: Asked) -> None:
        """A question was answered, or given up."""
        self._asked.append((arm, entry))

    def told(self, arm: str, entry: Told) -> None:
        """An event was acknowledged."""
        self._told.append((arm, entry))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._make(_state(kind))

    def _keep(self) -> None:
        with _giving_way():
            wait_s = 0.0
            while not self._ended.wait(wait_s):
                began_s = time.monotonic()
                self._make("running")
                took_s = time.monotonic() - began_s
                wait_s = max(_EVERY_S - took_s, took_s / _MOST_SHARE)

    def _make(self, state: State) -> None:
        """One document: added up, written, shown."""
        self._add_up()
        document = self._document(state)
        self._write(document)
        now_s = time.monotonic()
        if self._show is not None:
            try:
                self._show(document)
            except OSError:
                self._show = None  # the terminal has gone; the replay stays
        elif state != "running" or now_s - self._said_s >= _LINE_EVERY_S:
            self._said_s = now_s
            self._progress.say(line(document))

    def _add_up(self) -> None:
        for _ in range(len(self._asked)):  # what comes meanwhile waits for the next document
            self._tally.asked(*self._asked.popleft())
        for _ in range(len(self._told)):
            self._tally.told(*self._told.popleft())

    def _document(self, state: State) -> dict[str, Any]:
        arms = self._tally.figures()
        windows = self._tally.windows()
        return self._facts | {
            "state": state,
            "began": self._began,
            "updated": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "events": self._events,
            "left_s": self._left_s(arms, windows) if state == "running" else None,
            "arms": arms,
            "windows": windows,
            "network": {} if self._meter is None else _network(self._meter.read()),
        }

    def _left_s(self, arms: dict[str, Any], windows: dict[str, list[dict[str, Any]]]) -> float | None:
        """Until the last arm is through: as the arrivals say, else at the pace of the last windows."""
        left = []
        for name, arm in arms.items():
            if self._due_us is not None:
                place = min(max(arm["asked"] - 1, 0), self._events - 1)
                left.append(float(self._due_us[-1] - self._due_us[place]) / 1e6)
            else:
                pace = [window["per_s"] for window in windows[name][-_PACE_WINDOWS:]]
                if not any(pace):
                    return None
                left.append((self._events - arm["told"]) * len(pace) / sum(pace))
        return max(left, default=None)

    def _write(self, document: dict[str, Any]) -> None:
        path = self._folder / LIVE
        beside = path.with_name(f".{LIVE}.new")
        try:
            # Not synced: a second later it is written again, and the journals are what a replay goes on from.
            beside.write_bytes(msgspec.json.encode(document))
            beside.replace(path)
        except OSError as error:
            if not self._is_in_trouble:
                self._is_in_trouble = True
                self._progress.say(f"{path} cannot be kept up to date ({error.strerror}); the replay goes on")


class _Titles(Mapping[str, Sequence[str]]):
    """Titles of the models that have answered, by arm, as the folder has them when it is asked."""

    def __init__(self, folder: Path, arms: Sequence[str]) -> None:
        self._folder, self._arms = folder, arms

    def __getitem__(self, arm: str) -> Sequence[str]:
        return titles(self._folder, arm)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arms)

    def __len__(self) -> int:
        return len(self._arms)


def _state(kind: type[BaseException] | None) -> State:
    if kind is None:
        return "finished"
    return "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"


def _meter() -> Meter | None:
    """None where psutil is missing: a replay measures what it must without it."""
    try:
        return Meter()
    except MatineeError:
        return None


def _network(reading: Reading) -> dict[str, dict[str, float]]:
    return {
        interface.name: {
            "in_per_s": interface.received.now_per_s,
            "out_per_s": interface.sent.now_per_s,
            "in_bytes": interface.received.watched_bytes,
            "out_bytes": interface.sent.watched_bytes,
        }
        for interface in reading.interfaces
    }


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let whichever thread waits for the interpreter have it soon; the setting is of the whole process."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_GIVE_WAY_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)
