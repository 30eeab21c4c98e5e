"""What happened to each event, written down as it happens: from here a killed replay goes on, and its report is made.

Two files an arm, of records of one size: a question is in `<arm>.asked` before its event is told, an acknowledged
event in `<arm>.told` after. A process that is killed leaves at most half a record at the end, which is cut off. Kept
by the kernel, not synced: they outlive the process, not the machine; a teller's numbers make telling again harmless.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from matinee.errors import DiskFullError, ReplayError
from matinee.model.atomic import is_full

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MISSED", "OUTCOMES", "Asked", "Journal", "Told", "asked_records", "check_records", "titles", "told_records"]

# Of a question; the first is the only one that has a rank and a list.
OUTCOMES: Final = ("answered", "time limit", "connection lost", "refused (429)", "refused (503)", "other error")
MISSED: Final = -1  # rank of a target that the server does not know


class Asked(NamedTuple):
    """A question and what came of it.

    Attributes:
        event: its place in the stream, from 0.
        outcome: place in OUTCOMES.
        status: of HTTP; 0 where there was no answer.
        model: place in the arm's list of models that have answered.
        session: how often the replay had been started before.
        rank: of the target, 1 the best; MISSED where the item is unknown to the server, 0 without an answer.
        due_us, sent_us, done_us: Unix microseconds on one steady clock: when the question was meant to be sent, when
            it was, and when it was answered or given up. Latency is done - due.
        bytes_out, bytes_in: on the connection, heads included.
        items: (k,) dense ids of the list, the best first; 0 where it is shorter, or the item has none.
        late: 1 where this process noticed too late that the question was due (see `timeline.LATE_US`), else 0.
    """

    event: int
    outcome: int
    status: int
    model: int
    session: int
    rank: int
    due_us: int
    sent_us: int
    done_us: int
    bytes_out: int
    bytes_in: int
    items: tuple[int, ...]
    late: int = 0


class Told(NamedTuple):
    """An event that was acknowledged.

    Attributes:
        event: its place in the stream, from 0.
        known: 1 where it had been told before (its first acknowledgement was lost), else 0.
        attempts: how often it was told, 1 or more, in this session.
        session: as above.
        due_us, sent_us, done_us: as above; due is when its question was done with, sent the first attempt.
        bytes_out, bytes_in: of all attempts.
    """

    event: int
    known: int
    attempts: int
    session: int
    due_us: int
    sent_us: int
    done_us: int
    bytes_out: int
    bytes_in: int


_ASKED: Final = "<IBHHHiqqqII{k}iB"
_TOLD: Final = "<IBHHqqqII"


def _asked_type(k: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("event", "<u4"), ("outcome", "u1"), ("status", "<u2"), ("model", "<u2"), ("session", "<u2"),
            ("rank", "<i4"), ("due_us", "<i8"), ("sent_us", "<i8"), ("done_us", "<i8"), ("bytes_out", "<u4"),
            ("bytes_in", "<u4"), ("items", "<i4", (k,)), ("late", "u1"),
        ]
    )  # fmt: skip


_TOLD_TYPE: Final = np.dtype(
    [
        ("event", "<u4"), ("known", "u1"), ("attempts", "<u2"), ("session", "<u2"), ("due_us", "<i8"),
        ("sent_us", "<i8"), ("done_us", "<i8"), ("bytes_out", "<u4"), ("bytes_in", "<u4"),
    ]
)  # fmt: skip


class Journal:
    """The files of one arm, open for appending; the end of a record that was cut off by a kill is removed first.

    Args:
        folder: of the replay.
        arm: whose.
        k: length of a list.
    """

    def __init__(self, folder: Path, arm: str, k: int) -> None:
        self._ask = struct.Struct(_ASKED.format(k=k))
        self._tell = struct.Struct(_TOLD)
        self._folder, self._arm = folder, arm
        self._models = titles(folder, arm)
        self._asked = _open(folder / f"{arm}.asked", self._ask.size)
        self._told = _open(folder / f"{arm}.told", self._tell.size)

    def asked(self, entry: Asked) -> None:
        """Write it down; to be called before the event is told.

        Raises:
            DiskFullError: no space left for it.
        """
        self._write(self._asked, self._ask.pack(*entry[:-2], *entry.items, entry.late))

    def told(self, entry: Told) -> None:
        """Write it down; to be called once the event was acknowledged; raises as `asked`."""
        self._write(self._told, self._tell.pack(*entry))

    def model(self, title: str) -> int:
        """The place of a model in the arm's list of models that have answered; a new one is written down.

        Raises:
            DiskFullError: no space left for it.
        """
        try:
            return self._models.index(title)
        except ValueError:
            pass  # the first answer of a model
        line = " ".join(title.split())
        if line not in self._models:
            self._write_models([*self._models, line])
            self._models.append(line)
        return self._models.index(line)

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._asked)
        os.close(self._told)

    def _write_models(self, models: list[str]) -> None:
        """As a whole: half a title at the end would be taken for another model."""
        beside = self._folder / f".{self._arm}.models.new"
        try:
            beside.write_text("".join(f"{model}\n" for model in models), encoding="utf-8")
            beside.replace(self._folder / f"{self._arm}.models")
        except OSError as error:
            if not is_full(error):
                raise
            raise self._full() from None

    def _write(self, handle: int, record: bytes) -> None:
        try:
            written = os.write(handle, record)
        except OSError as error:
            if not is_full(error):
                raise
            written = 0
        if written < len(record):  # a part of it is cut off when the journal is opened again
            raise self._full()

    def _full(self) -> DiskFullError:
        return DiskFullError(
            f"{self._folder}: no space left for the journal of the replay; make room and run the same command again: "
            "it goes on from here"
        )


def asked_records(folder: Path, arm: str, k: int, *, since: int = 0) -> NDArray[Any]:
    """All whole records of questions but the first `since`, as they were written: the fields of `Asked`."""
    return _read(folder / f"{arm}.asked", _asked_type(k), since)


def told_records(folder: Path, arm: str, *, since: int = 0) -> NDArray[Any]:
    """All whole records of acknowledged events but the first `since`: the fields of `Told`."""
    return _read(folder / f"{arm}.told", _TOLD_TYPE, since)


def check_records(folder: Path, arm: str, k: int, first: int, end: int) -> None:
    """See that what an arm's journals hold can be of a replay of the events from `first` to `end`.

    Raises:
        ReplayError: it cannot; the file was damaged.
    """
    asked, told = asked_records(folder, arm, k), told_records(folder, arm)
    is_asked = (asked["outcome"] < len(OUTCOMES)) & (asked["rank"] >= MISSED)
    for records, kind, is_right in ((asked, "asked", is_asked), (told, "told", told["attempts"] > 0)):
        wrong = np.flatnonzero(~is_right | (records["event"] < first) | (records["event"] >= end))
        if wrong.size:
            raise ReplayError(
                f"{folder / f'{arm}.{kind}'}: record {wrong[0] + 1:,} of {records.size:,} is damaged (event "
                f"{records['event'][wrong[0]]:,}, expected {first:,} to {end - 1:,}); play it anew with --again, or "
                "into another --out"
            )


def titles(folder: Path, arm: str) -> list[str]:
    """The models that have answered, in the order of their first answers."""
    try:
        return (folder / f"{arm}.models").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _open(path: Path, size: int) -> int:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    if over := os.fstat(handle).st_size % size:
        os.ftruncate(handle, os.fstat(handle).st_size - over)
    return handle


def _read(path: Path, kind: np.dtype[np.void], since: int) -> NDArray[Any]:
    """Mapped, so that a journal of gigabytes is never in memory as a whole."""
    try:
        records = path.stat().st_size // kind.itemsize
    except FileNotFoundError:
        records = 0
    if records <= since:  # nothing cannot be mapped
        return np.zeros(0, kind)
    return np.asarray(np.memmap(path, kind, "r", offset=since * kind.itemsize, shape=(records - since,)))
