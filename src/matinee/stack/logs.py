"""What the services have written, the last lines or as it comes."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from matinee.errors import ServiceError, UsageError
from matinee.stack.folders import Folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LOGS", "logs"]

LOGS: Final = ("s3", "postgres", "mlflow", "jupyter", "supervisord")
_POLL_S: Final = 0.2


def logs(
    service: str | None = None, *, follow: bool = False, lines: int = 20, data_dir: str | Path = "matinee-data"
) -> Iterator[tuple[str, str]]:
    """The last lines of a service's log, or of all; each with the service's name.

    Args:
        service: `s3`, `postgres`, `mlflow`, `jupyter` or `supervisord`; None is all of them, one after the other.
        follow: go on with what is written from now on, without end.
        lines: how many to begin with, of each.
        data_dir: the data folder whose stack is meant.

    Raises:
        UsageError: there is no such service, or nothing was ever started here.
        ServiceError: the stack belongs to another user.
    """
    if service is not None and service not in LOGS:
        raise UsageError(f"{service}: no such service; there are {', '.join(LOGS)}")
    folders = Folders.of(data_dir)
    if not folders.logs.is_dir():
        raise UsageError(f"{folders.logs}: no logs; 'matinee up' starts the stack")
    return _read({name: folders.log(name) for name in (LOGS if service is None else (service,))}, lines, follow=follow)


def _read(paths: dict[str, Path], lines: int, *, follow: bool) -> Iterator[tuple[str, str]]:
    followed = {name: _Followed(path, lines) for name, path in paths.items()}
    while True:
        for name, log in followed.items():
            for line in log.new():
                yield name, line
        if not follow:
            return
        time.sleep(_POLL_S)


class _Followed:
    """A log that may not be there yet, and that is put aside for a new one when it is long."""

    def __init__(self, path: Path, lines: int) -> None:
        self._path = path
        self._lines: int | None = lines  # None once the first were read
        self._inode = self._offset = 0
        self._rest = ""

    def new(self) -> list[str]:
        """The whole lines since the last time."""
        try:
            with self._path.open("rb") as file:
                inode = self._path.stat().st_ino
                if inode != self._inode:
                    self._inode, self._offset, self._rest = inode, 0, ""
                file.seek(self._offset)
                text = self._rest + file.read().decode(errors="replace")
                self._offset = file.tell()
        except FileNotFoundError:
            return []
        except PermissionError:
            raise ServiceError(
                f"{self._path}: closed to you; the stack belongs to another user, run as that one"
            ) from None
        *whole, self._rest = text.split("\n")
        if self._lines is None:
            return whole
        first, self._lines = list(deque(whole, self._lines)), None
        return first
