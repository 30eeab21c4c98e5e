"""What is known of a replay while it runs, from its journals: the document of `live.json`, and the file itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from matinee.errors import MatineeError
from matinee.network import Meter
from matinee.replay.clock import due_us
from matinee.replay.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matinee.network import Reading
    from matinee.replay.folder import Record
    from matinee.replay.stream import Stream

__all__ = ["LIVE", "LiveDocument", "State"]

LIVE: Final = "live.json"
State = Literal["running", "finished", "interrupted", "failed"]

_FORMAT: Final = 1
_PACE_WINDOWS: Final = 10


class LiveDocument:
    """Made again and again while the journals grow.

    Args:
        folder: of the replay.
        record: what is known of it; its last session is the one that runs.
        stream: what is played; raw ids are not looked at.
    """

    def __init__(self, folder: Path, record: Record, stream: Stream) -> None:
        plan = record.plan
        self._folder, self._began = folder, record.sessions[-1].began
        self._facts = {"format": _FORMAT, "id": record.id, "plan": plan.as_json()}
        self._tally = Tally(stream, plan, [arm.name for arm in record.arms])
        asked_s = stream.times_s[stream.asked_from :]
        self._due_us = due_us(asked_s, plan.arrivals) if plan.arrivals.is_open_loop else None
        self._events = stream.asked
        self._meter = _meter()

    def make(self, state: State) -> dict[str, Any]:
        """The document now, in plain values."""
        self._tally.read(self._folder)
        arms, windows = self._tally.figures(), self._tally.windows()
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

    def write(self, document: Mapping[str, Any]) -> None:
        """Put it in its place as a whole; raises OSError where it cannot be."""
        beside = self._folder / f".{LIVE}.new"
        # Not synced: a second later it is written again, and the journals are what a replay goes on from.
        beside.write_bytes(msgspec.json.encode(document))
        beside.replace(self._folder / LIVE)

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
