"""How each service of a stack is right now, asked one by one; nothing is started or changed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.stack.folders import Folders
from matinee.stack.start import check_base, last_words
from matinee.stack.state import StackState, in_url
from matinee.stack.supervisor import ProcessInfo, Supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.stack.services import Service

__all__ = ["ServiceStatus", "StackStatus", "status"]

_PATIENCE_S: Final = 60  # a service that was started this long ago and does not answer is no longer starting


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service.

    Attributes:
        name, title: as typed, and as a person calls it.
        state: `healthy`, `starting`, `unhealthy` (runs, does not answer), `failing` (ends each time) or `stopped`.
        address: where it is reached from this machine.
        pid, uptime_s, memory_bytes: of its process, with all of its children; None where there is none.
        note: the last words of its log, where it is not well.
    """

    name: str
    title: str
    state: str
    address: str
    pid: int | None
    uptime_s: int | None
    memory_bytes: int | None
    note: str


@dataclass(frozen=True, slots=True)
class StackStatus:
    """All services.

    Attributes:
        data_dir: their data folder.
        running: whether the supervisor runs.
        healthy: whether something runs, and all that is meant to run is healthy.
        listen: the address that Postgres, MLflow and Jupyter listen on.
        memory_bytes: of all, the supervisor included.
        services: one by one.
    """

    data_dir: Path
    running: bool
    healthy: bool
    listen: str
    memory_bytes: int
    services: tuple[ServiceStatus, ...]


def status(*, data_dir: str | Path = "matinee-data") -> StackStatus:
    """Ask every service how it is.

    Args:
        data_dir: the data folder whose stack is meant.

    Raises:
        ServiceError: the stack belongs to another user, its folder is of a newer version, or nothing is installed.
    """
    check_base()
    from matinee.stack.services import SERVICES  # noqa: PLC0415 - brings psycopg, which may not be installed

    folders = Folders.of(data_dir)
    supervisor = Supervisor(folders)
    pid, infos = supervisor.pid, supervisor.states()
    state = StackState.read(folders.state)
    with ThreadPoolExecutor(len(SERVICES)) as pool:  # one that hangs does not make the others wait
        told = tuple(
            pool.map(lambda service: _ask(service, infos.get(service.name), state, folders), SERVICES.values())
        )
    up = [service for service in told if service.state != "stopped"]
    return StackStatus(
        data_dir=folders.root,
        running=bool(pid),
        healthy=bool(up) and all(service.state == "healthy" for service in up),
        listen=state.listen if state else "",
        memory_bytes=_memory_bytes(pid) if pid else 0,
        services=told,
    )


def _ask(service: Service, info: ProcessInfo | None, state: StackState | None, folders: Folders) -> ServiceStatus:
    word = _word(service, info, state)
    runs = info is not None and info.is_up and info.pid > 0
    return ServiceStatus(
        name=service.name,
        title=service.title,
        state=word,
        address=_address(service.name, state) if state else "",
        pid=info.pid if runs and info else None,
        uptime_s=max(0, int(time.time()) - info.started_s) if runs and info else None,
        memory_bytes=_memory_bytes(info.pid) if runs and info else None,
        note=last_words(folders.log(service.name)) if word in {"unhealthy", "failing"} else "",
    )


def _word(service: Service, info: ProcessInfo | None, state: StackState | None) -> str:
    if info is None or state is None or not info.is_up:
        return "stopped"
    if service.is_healthy(state):
        return "healthy"
    if info.word == "BACKOFF":
        return "failing"
    return "starting" if time.time() - info.started_s < _PATIENCE_S else "unhealthy"


def _address(name: str, state: StackState) -> str:
    return {
        "s3": state.s3.url,
        "postgres": f"postgresql://{in_url(state.host)}:{state.postgres_port}",
        "mlflow": state.mlflow_url,
        "jupyter": state.jupyter_url,
    }[name]


def _memory_bytes(pid: int) -> int:
    """Of a process and all below it, each shared page counted once for all who share it."""
    import psutil  # noqa: PLC0415 - only this asks for memory

    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            total += process.memory_full_info().pss
    except psutil.Error:
        pass  # one ended while it was counted
    return total
