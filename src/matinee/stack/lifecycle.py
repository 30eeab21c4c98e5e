"""From nothing to a running stack and back: `up`, `down`, `restart`, and `running` for as long as a block needs it.

`up` keeps services until `down`. `running` starts what is missing, and the last one who leaves stops what `up` did not
ask for. Who is killed inside cannot; `matinee.stack.watch` does it then.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from matinee.errors import UsageError
from matinee.schema.progress import Progress, Silent
from matinee.stack.folders import Folders
from matinee.stack.start import Stack, start
from matinee.stack.stop import kept, stop, stop_all
from matinee.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Stack", "down", "restart", "running", "up"]


def up(
    services: Iterable[str] | None = None,
    *,
    data_dir: str | Path = "matinee-data",
    listen: str | None = None,
    progress: Progress | None = None,
) -> Stack:
    """Start services and all that they need, and wait until they are well; what runs already is left alone.

    Args:
        services: of `s3`, `postgres`, `mlflow` and `jupyter`; None is all.
        data_dir: where their data lies; credentials are made there at the first start.
        listen: an address of this machine that others may reach; None is this machine alone.
        progress: told of each service.

    Raises:
        UsageError: there is no such service, or no such address.
        ServiceError: something is not installed, the folder is of a newer version or somebody else's, or a service
            does not come up.
        DiskFullError: no space.
    """
    folders = Folders.of(data_dir)
    folders.make()
    with folders.changing():
        return start(services, folders, listen=listen, kept=True, progress=progress or Silent())


def down(*, data_dir: str | Path = "matinee-data") -> bool:
    """Stop all services and their supervisor; False where none ran.

    Args:
        data_dir: the data folder whose stack is meant.

    Raises:
        ServiceError: it belongs to another user, or does not end.
    """
    folders = Folders.of(data_dir)
    if not folders.run.is_dir():
        return False
    with folders.changing():
        return stop_all(folders)


def restart(
    services: Iterable[str] | None = None,
    *,
    data_dir: str | Path = "matinee-data",
    progress: Progress | None = None,
) -> Stack:
    """Stop services and start them again; None is all that run.

    Args:
        services: of `s3`, `postgres`, `mlflow` and `jupyter`.
        data_dir: the data folder whose stack is meant.
        progress: told of each service.

    Raises:
        UsageError: there is no such service, or the stack does not run.
        ServiceError, DiskFullError: see `up`.
    """
    folders = Folders.of(data_dir)
    states = Supervisor(folders).states()
    if not states:
        raise UsageError(f"{folders.root}: no stack runs here; 'matinee up' starts it")
    names = [name for name, info in states.items() if info.is_up] if services is None else list(services)
    for name in names:
        if name not in states:
            raise UsageError(f"{name}: no such service; there are {', '.join(states)}")
    with folders.changing():
        stop(names, folders)
        return start(names, folders, progress=progress or Silent())


@contextlib.contextmanager
def running(
    data_dir: str | Path, services: Iterable[str] | None = None, *, progress: Progress | None = None
) -> Iterator[Stack]:
    """Services and all that they need (None: all) for the length of a `with` block; what `up` started stays up.

    Raises:
        UsageError, ServiceError, DiskFullError: see `up`.
    """
    folders = Folders.of(data_dir)
    folders.make()
    try:
        with folders.using():
            with folders.changing():
                stack = start(services, folders, progress=progress or Silent())
            yield stack
    finally:
        with folders.changing():
            if not folders.in_use():  # else somebody else is inside, and will do it
                _stop_what_is_not_kept(folders)


def _stop_what_is_not_kept(folders: Folders) -> None:
    staying = kept(folders)
    if not staying:
        stop_all(folders)
        return
    states = Supervisor(folders).states()
    stop([name for name, info in states.items() if info.is_up and name not in staying], folders)
