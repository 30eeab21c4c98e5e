"""A replay while it runs: what its observers hear becomes `live.json` once a second, and whatever a person looks at.

The engine's thread does no more than put an entry into a queue. A thread of its own adds up, writes and draws, and
gives way to the engine every half millisecond; benchmarks/live.py measures what that costs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

from matinee.errors import MatineeError
from matinee.network import Meter
from matinee.replay.clock import due_us
from matinee.replay.live_line import line
from matinee.replay.tally import Tally
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from matinee.network import Reading
    from matinee.replay.journal import Asked, Told
    from matinee.replay.plan import Plan
    from matinee.replay.stream import Stream

__all__ = ["LIVE", "Live", "State"]

LIVE: Final = "live.json"
State = Literal["running", "finished", "interrupted", "failed"]

_FORMAT: Final = 1
_EVERY_S: Final = 1.0
_MOST_SHARE: Final = 0.1  # of a processor's time; where a document takes longer than 0.1 s, it is made more rarely
_LINE_EVERY_S: Final = 10.0
_GIVE_WAY_S: Final = 0.0005  # Python's own 5 ms would be seen in the latencies


class Live:
    """An `Observer` of a replay, and a context manager around it: the block is the replay.

    How the block is left decides how the replay is said to have ended: with an interrupt it was `interrupted`, with any
    other exception it `failed`, without one it is what `state` has been set to. Trouble with live.json stops no replay:
    it is said once.

    Args:
        folder: of the replay; what its journals tell already is counted.
        stream, plan: what is replayed.
        arms: their names.
        models: titles of the models that have answered, by arm, in order of their first answer; may grow meanwhile.
        show: called with each document, in the thread that makes them. Without it `progress` is told a line now and
            then.
        progress: see above.

    Attributes:
        state: how the replay has ended where nothing is raised.
    """

    def __init__(
        self,
        folder: Path,
        stream: Stream,
        plan: Plan,
        arms: Sequence[str],
        *,
        models: Mapping[str, Sequence[str]],
        show: Callable[[dict[str, Any]], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._folder, self._plan, self._show = folder, plan, show
        self._progress = progress or Silent()
        self.state: State = "finished"
        self._tally = Tally.from_journals(folder, stream, plan, arms, models=models)
        asked_s = stream.times_s[stream.asked_from :]
        self._due_us = due_us(asked_s, plan.arrivals) if plan.arrivals.is_open_loop else None
        self._events = stream.asked
        self._asked: deque[tuple[str, Asked]] = deque()
        self._told: deque[tuple[str, Told]] = deque()
        self._meter = _meter()
        self._began = datetime.now(UTC)
        self._said_s = time.monotonic()
        self._trouble = ""
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
        self._make(self.state if kind is None else _state(kind))

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
        now = datetime.now(UTC)
        arms = self._tally.figures()
        windows = self._tally.windows()
        return {
            "format": _FORMAT,
            "id": self._folder.name,
            "state": state,
            "plan": self._plan.as_json(),
            "began": self._began.isoformat(timespec="seconds"),
            "updated": now.isoformat(timespec="milliseconds"),
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
            if not self._trouble:
                self._trouble = f"{path} cannot be kept up to date ({error.strerror or error}); the replay goes on"
                self._progress.say(self._trouble)


_PACE_WINDOWS: Final = 10


def _state(kind: type[BaseException]) -> State:
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
