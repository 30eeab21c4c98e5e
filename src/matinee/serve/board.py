"""A server's own folder, where it says who it is, is told which model is wanted, and each worker says what it has.

Only its owner can read it or write there, so whoever may promote a model is whoever may start the server.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import Struct

from matinee.model.atomic import write_atomically
from matinee.processes import birth_of, is_same
from matinee.schema.manifest import IdMapEntry  # noqa: TC001 - msgspec reads the annotations when it runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Board", "Report", "ServerFacts", "Wanted"]

_Record = TypeVar("_Record", bound=Struct)

_SERVER: Final = "server.json"
_WANTED: Final = "wanted.json"
_WORKERS: Final = "workers"


class ServerFacts(Struct, frozen=True):
    """Who serves here: `pid` and its `birth`, the address, the log's name, the version and its id maps."""

    pid: int
    birth: str
    url: str
    log: str
    version: str
    users: IdMapEntry
    items: IdMapEntry
    workers: int

    @property
    def runs(self) -> bool:
        """Whether it still does."""
        return is_same(self.pid, self.birth)


class Wanted(Struct, frozen=True):
    """The model to serve; each new wish has a higher number."""

    number: int
    folder: str
    title: str


class Report(Struct, frozen=True):
    """What a worker has: the number of the last wish it looked at, and why it could not fulfil it."""

    pid: int
    birth: str
    number: int
    title: str
    error: str = ""


class Board:
    """The folder of one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def all(cls, root: Path) -> Iterator[tuple[Board, ServerFacts]]:
        """The boards below `root` whose server runs."""
        for path in sorted(root.glob(f"*/{_SERVER}")):
            board = cls(path.parent)
            facts = board.server()
            if facts is not None and facts.runs:
                yield board, facts

    @property
    def shelf(self) -> Path:
        """Where models are kept."""
        return self.folder / "models"

    @property
    def measures(self) -> Path:
        """Where workers keep what they count."""
        return self.folder / "measures"

    def make(self) -> None:
        """Make the folders, with nothing of an earlier server in them but its models."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        for folder in (self.folder / _WORKERS, self.measures):
            folder.mkdir(exist_ok=True)
            for path in folder.iterdir():
                path.unlink()

    def server(self) -> ServerFacts | None:
        """Who serves, or served last."""
        return _read(self.folder / _SERVER, ServerFacts)

    def announce(self, facts: ServerFacts) -> None:
        """Say who serves."""
        _write(self.folder / _SERVER, facts)

    def wanted(self) -> Wanted | None:
        """The model to serve."""
        return _read(self.folder / _WANTED, Wanted)

    def want(self, wanted: Wanted) -> None:
        """Wish for a model."""
        _write(self.folder / _WANTED, wanted)

    def report(self, number: int, title: str, error: str = "") -> None:
        """Say what this worker has."""
        pid = os.getpid()
        _write(self.folder / _WORKERS / f"{pid}.json", Report(pid, birth_of(pid), number, title, error))

    def reports(self) -> list[Report]:
        """What the workers that run have."""
        found = (_read(path, Report) for path in sorted((self.folder / _WORKERS).glob("*.json")))
        return [report for report in found if report is not None and is_same(report.pid, report.birth)]


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    """None where there is no such file, or another program's."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(path: Path, record: Struct) -> None:
    write_atomically(path, msgspec.json.encode(record))
