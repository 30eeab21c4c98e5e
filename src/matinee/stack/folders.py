"""Where the stack keeps its things in a data folder, and who is at work on them right now."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import DiskFullError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Folders"]

_USERS = "users"  # a file that is there to be locked
_NEEDED_BYTES = 200_000_000  # an empty Postgres, MLflow's tables, SeaweedFS's first volumes, some log


@dataclass(frozen=True, slots=True)
class Folders:
    """The parts of one data folder that belong to the stack."""

    root: Path

    @classmethod
    def of(cls, data_dir: str | Path) -> Folders:
        """The folders of `data_dir`, which may be given in any way a user writes it."""
        return cls(Path(data_dir).expanduser().absolute())

    @property
    def state(self) -> Path:
        """Ports and credentials."""
        return self.root / "stack.json"

    @property
    def run(self) -> Path:
        """What means something only while the stack runs."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file a service, and the supervisor's own."""
        return self.root / "logs"

    @property
    def postgres(self) -> Path:
        """The database cluster."""
        return self.root / "postgres_data"

    @property
    def s3(self) -> Path:
        """The object store."""
        return self.root / "s3_data"

    @property
    def old_s3(self) -> Path:
        """Where Matinee kept the object store before it was a part of the stack."""
        return self.root / "s3"

    @property
    def jupyter(self) -> Path:
        """Notebooks."""
        return self.root / "jupyter"

    def log(self, service: str) -> Path:
        """The log of one service."""
        return self.logs / f"{service}.log"

    def process(self, service: str) -> Path:
        """Says which process a service was started as: `pid`, and `birth` as `matinee.processes` tells it."""
        return self.run / f"{service}.process"

    def make(self) -> None:
        """Make what is missing, readable by its owner alone.

        Raises:
            ServiceError: the folder cannot be made or written.
            DiskFullError: there is not enough space to begin with.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.run, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ServiceError(f"{self.root}: cannot hold the stack ({error.strerror}); choose another") from None
        status = os.statvfs(self.root)
        free_bytes = status.f_bavail * status.f_frsize
        if free_bytes < _NEEDED_BYTES:
            raise DiskFullError(
                f"{self.root}: {free_bytes // 1_000_000} MB free, the stack needs {_NEEDED_BYTES // 1_000_000} MB to "
                "start; free some, or choose another --data-dir"
            )

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """For whoever needs the stack to stay up; many at a time."""
        handle = _open(self.run / _USERS, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)

    def in_use(self) -> bool:
        """Whether somebody needs the stack to stay up; asked under `changing`, or two who ask would see each other."""
        handle = _open(self.run / _USERS, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """For whoever starts or stops services: one at a time, the others wait."""
        handle = _open(self.run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags, 0o600)
    except PermissionError:
        raise ServiceError(f"{path}: closed to you; the stack belongs to another user, run as that one") from None
