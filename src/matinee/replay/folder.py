"""A replay's folder: what was decided when it began, who has worked on it, and that only one process does at a time."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Final, Self

from matinee.errors import ReplayError, UsageError
from matinee.model.atomic import write_atomically
from matinee.replay.plan import Arm, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "FINISHED",
    "LOCK",
    "RECORD",
    "SERVER_LOG",
    "Record",
    "Session",
    "alone",
    "choose",
    "new_id",
    "now",
    "read_or_say",
    "tidied",
]

FORMAT: Final = 1
RECORD: Final = "replay.json"
FINISHED: Final = "finished"
LOCK: Final = ".lock"
SERVER_LOG: Final = ".server.log"  # behind an arm's name: what the server that was started for it has said
_LIBRARIES: Final = ("matinee", "uvloop", "httptools", "msgspec")


@dataclass(frozen=True, slots=True)
class Session:
    """One process that has worked on a replay.

    Attributes:
        began, ended: ISO 8601 in UTC; `ended` is None while it works, and for ever where it was killed.
        why: it ended: finished, interrupted, failed; None as above.
        detail: the line that it failed with.
        client: `ClientFacts.as_json`, where it came so far.
    """

    began: str
    ended: str | None = None
    why: str | None = None
    detail: str = ""
    client: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """`replay.json`.

    Attributes:
        id: of the replay: when it began, and the fingerprint of plan and arms.
        plan, arms: what is played through whom.
        sessions: the first one first.
        machine: on which it began.
    """

    id: str
    plan: Plan
    arms: tuple[Arm, ...]
    sessions: tuple[Session, ...]
    machine: dict[str, str]

    @property
    def is_finished(self) -> bool:
        """Whether every event was told in every arm."""
        return bool(self.sessions) and self.sessions[-1].why == FINISHED

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The record in a folder; None where there is none.

        Raises:
            ReplayError: it cannot be read, or is of a newer Matinee.
        """
        path = folder / RECORD
        try:
            plain = json.loads(path.read_bytes())
            if plain["format"] != FORMAT:
                raise ReplayError(f"{path}: format {plain['format']}, expected {FORMAT}; use the Matinee that wrote it")
            return cls(
                id=plain["id"],
                plan=Plan.from_json(plain["plan"]),
                arms=tuple(Arm(**arm) for arm in plain["arms"]),
                sessions=tuple(Session(**session) for session in plain["sessions"]),
                machine=plain["machine"],
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
            raise ReplayError(f"{path}: not the record of a replay ({error})") from None

    def write(self, folder: Path) -> None:
        """Put it in its place, as a whole.

        Raises:
            DiskFullError: no space left.
        """
        plain = {
            "format": FORMAT,
            "id": self.id,
            "plan": self.plan.as_json(),
            "arms": [arm.as_json() for arm in self.arms],
            "sessions": [{name: getattr(one, name) for name in Session.__slots__} for one in self.sessions],
            "machine": self.machine,
        }
        write_atomically(folder / RECORD, (json.dumps(plain, indent=2, ensure_ascii=False) + "\n").encode())

    def begun(self) -> Self:
        """With a session more."""
        return replace(self, sessions=(*self.sessions, Session(now())))

    def ended(self, why: str, detail: str = "", client: dict[str, Any] | None = None) -> Self:
        """With its last session ended."""
        last = replace(self.sessions[-1], ended=now(), why=why, detail=detail, client=client or {})
        return replace(self, sessions=(*self.sessions[:-1], last))

    @classmethod
    def new(cls, id_: str, plan: Plan, arms: Sequence[Arm]) -> Self:
        """Of a replay that begins."""
        machine = {
            "system": platform.platform(),
            "processors": str(len(os.sched_getaffinity(0))),
            "python": platform.python_version(),
            **{name: installed_version(name) for name in _LIBRARIES},
        }
        return cls(id_, plan, tuple(arms), (), machine)


def choose(root: Path, fingerprint: str, out: Path | None, *, again: bool) -> Path:
    """Where a replay is, or is going to be.

    Args:
        root: of all replays of the data set.
        fingerprint: of the plan and its arms.
        out: the folder that was asked for; None is one below `root`.
        again: a new one although there is one.

    Raises:
        UsageError: `out` holds something else.
        ReplayError: what it holds cannot be read.
    """
    if out is None:
        found = None if again else _newest(root, fingerprint)
        while found is None and (root / new_id(fingerprint)).exists():
            time.sleep(0.1)  # an id is good for a second
        return found or root / new_id(fingerprint)
    out = out.expanduser().absolute()
    record = read_or_say(out, out)
    if record is None and out.exists() and (not out.is_dir() or not all(map(_is_left, out.iterdir()))):
        raise UsageError(f"{out}: holds something, but no replay; choose another --out")
    if record is not None and not record.id.endswith(fingerprint):
        raise UsageError(f"{out}: holds replay {record.id}, and this one is another; choose another --out")
    if record is not None and again:
        raise UsageError(f"{out}: holds replay {record.id}, which is kept; choose another --out to play it again")
    return out


def read_or_say(folder: Path, out: Path | None) -> Record | None:
    """What is known of the replay in `folder`; where that cannot be read, the error says where a new one may go."""
    try:
        return Record.read(folder)
    except ReplayError as error:
        raise ReplayError(f"{error}; {'choose another --out' if out else 'begin anew with --again'}") from None


def new_id(fingerprint: str) -> str:
    """Of a replay that begins now."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{fingerprint}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that works on the replay in `folder`.

    Raises:
        UsageError: another one does.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: this replay is running already, in another process") from None
        yield
    finally:
        os.close(handle)


@contextmanager
def tidied(folder: Path) -> Iterator[None]:
    """Leave no folder behind in which nothing has begun; for whoever is alone there."""
    try:
        yield
    finally:
        with suppress(OSError):
            if not (folder / RECORD).exists():
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()  # fails where a server has left its words


def now() -> str:
    """ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _newest(root: Path, fingerprint: str) -> Path | None:
    """The newest folder of the replay with this fingerprint; None where there is none."""
    found = sorted(path.parent for path in root.glob(f"*-{fingerprint}/{RECORD}"))
    return found[-1] if found else None


def _is_left(path: Path) -> bool:
    """Whether it is of a replay that never began, as its server did not start."""
    return path.name == LOCK or path.name.endswith(SERVER_LOG)
