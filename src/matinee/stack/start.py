"""Start services of the stack: make them ready, find them ports, wait until they are well, say what is wrong if not."""

from __future__ import annotations

import importlib.util
import ipaddress
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from matinee.errors import DiskFullError, ServiceError, UsageError
from matinee.stack.endpoint import Endpoint, find_port, free_ports, is_free, read_or_make
from matinee.stack.state import LOOPBACK, StackState
from matinee.stack.stop import forget, keep
from matinee.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matinee.schema.progress import Progress
    from matinee.stack.folders import Folders
    from matinee.stack.services import Service

__all__ = ["Stack", "check_base", "last_words", "start"]

_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.1
_PORTS_PATIENCE_S: Final = 2.0
_STARTS_TO_BELIEVE: Final = 2  # one that ends this often within seconds does not come up
_LAST_WORDS_CHARACTERS: Final = 400
_TAIL_BYTES: Final = 4_000
_BASE: Final = ("supervisor", "psycopg", "httpx")


@dataclass(frozen=True, slots=True)
class Stack:
    """How to reach a stack that runs.

    Attributes:
        data_dir: its data folder.
        services: those that run.
        postgres_url: the database `matinee`, with its password.
        s3: the object store, with its keys; its buckets are `matinee` (versions) and `mlflow` (artifacts).
        mlflow_url: the tracking server.
        jupyter_url: JupyterLab, with its token.
        listen: the address that all but S3 listen on.
        opened: one line for each service that others can reach; none on the loopback.
    """

    data_dir: Path
    services: tuple[str, ...]
    postgres_url: str = field(repr=False)
    s3: Endpoint
    mlflow_url: str
    jupyter_url: str = field(repr=False)
    listen: str
    opened: tuple[str, ...]

    @property
    def postgres_address(self) -> str:
        """Postgres without user and password."""
        return f"postgresql://{self.postgres_url.rpartition('@')[2].rpartition('/')[0]}"

    @property
    def jupyter_address(self) -> str:
        """JupyterLab without its token."""
        return self.jupyter_url.partition("/lab?")[0]


def start(
    names: Iterable[str] | None, folders: Folders, *, listen: str | None = None, kept: bool = False, progress: Progress
) -> Stack:
    """Start the named services and all that they need (None: all) and wait until they are well.

    The caller holds `folders.changing()`. With `kept` they stay until `matinee down`, also where one does not come up:
    it is tried again.

    Raises:
        UsageError, ServiceError, DiskFullError: see `matinee.up`.
    """
    check_base()
    from matinee.stack.services import SERVICES, select  # noqa: PLC0415 - brings psycopg, which may not be installed

    wanted = select(names)
    _check_installed(name for service in wanted for name in service.imports)
    supervisor = Supervisor(folders)
    running = bool(supervisor.pid)
    state = _with_listen(StackState.read(folders.state) or _first_state(folders), listen, running=running)
    if not running:
        if state.is_open and not is_free(state.s3_open_port, state.listen):
            state = replace(state, s3_open_port=find_port(set()))
        state.write(folders.state)
        forget(folders)  # what a supervisor that was killed had to keep up
        supervisor.start(SERVICES.values(), s3_door=state.is_open)
    if kept:
        keep((service.name for service in wanted), folders)
    state = _start(wanted, folders, state, supervisor, progress)
    _wait(wanted, folders, state, supervisor, progress)
    for service in wanted:
        service.settle(state)
    return _stack(folders, state, supervisor)


def check_base() -> None:
    """Fail where the programs that any stack needs are not installed.

    Raises:
        ServiceError: they are not.
    """
    _check_installed(_BASE)


def last_words(log: Path) -> str:
    """The end of a log, in one line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            said = file.read().decode(errors="replace")
    except OSError:
        return ""
    return " ".join(said.split())[-_LAST_WORDS_CHARACTERS:]


def _check_installed(names: Iterable[str]) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ServiceError(f"stack: {', '.join(missing)} is not installed; 'pip install matinee[stack]'")


def _first_state(folders: Folders) -> StackState:
    """New ports and credentials, but for the keys of a store that an older Matinee made: that store goes on."""
    from matinee.stack.s3 import stop_s3  # noqa: PLC0415 - see start

    state = StackState.make()
    if folders.old_s3.is_dir() and not folders.s3.exists():
        stop_s3(folders.old_s3)
        folders.old_s3.rename(folders.s3)
    if not (keys := folders.s3 / "endpoint.json").is_file():
        return state
    endpoint, _ = read_or_make(keys)
    return replace(state, s3_access_key=endpoint.access_key, s3_secret_key=endpoint.secret_key)


def _with_listen(state: StackState, listen: str | None, *, running: bool) -> StackState:
    if listen is not None:
        try:
            listen = str(ipaddress.ip_address(listen))
        except ValueError:
            raise UsageError(f"--listen {listen}: not an IP address; 0.0.0.0 is all of this machine's") from None
        if not is_free(0, listen):
            raise UsageError(f"--listen {listen}: not an address of this machine; 0.0.0.0 is all of them")
    if not running:
        return replace(state, listen=listen or LOOPBACK)
    if listen not in {None, state.listen}:
        raise UsageError(f"--listen {listen}: the stack runs and listens on {state.listen}; run 'matinee down' first")
    return state


def _start(
    wanted: list[Service], folders: Folders, state: StackState, supervisor: Supervisor, progress: Progress
) -> StackState:
    """Make ready and start what does not run; the ports may change."""
    states = supervisor.states()
    starting = [service for service in wanted if not states[service.name].is_up]
    for service in starting:
        state = _with_free_ports(service, state, progress)
    state.write(folders.state)
    for service in starting:
        service.prepare(folders, state)
        supervisor.start_service(service.name)
    return state


def _with_free_ports(service: Service, state: StackState, progress: Progress) -> StackState:
    """The state as it is where the service's ports are free, now or soon, else with others."""
    deadline_s = time.monotonic() + _PORTS_PATIENCE_S
    address = LOOPBACK if service.name == "s3" else state.listen
    while taken := [port for port in service.ports(state).values() if not is_free(port, address)]:
        if time.monotonic() > deadline_s:
            break
        time.sleep(_POLL_S)
    if not taken:
        return state
    if service.name == "s3":
        changed = replace(state, s3_ports=free_ports())
    else:
        changed = replace(state, **dict.fromkeys(service.ports(state), find_port(set())))  # type: ignore[arg-type]
    progress.say(f"{service.title}: port {taken[0]} is taken{_holder(taken[0])}; from now on it has another")
    return changed


def _holder(port: int) -> str:
    """' by python3 (pid 17)' where that can be known."""
    import psutil  # noqa: PLC0415 - only when a port is taken

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""


def _wait(
    wanted: list[Service], folders: Folders, state: StackState, supervisor: Supervisor, progress: Progress
) -> None:
    """Return when all are well, or raise with the last words of the one that does not come up."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    starts: dict[str, set[int]] = {service.name: set() for service in wanted}
    began_s = time.monotonic()
    waiting = list(wanted)
    while waiting:
        for service in [service for service in waiting if service.is_healthy(state)]:
            waiting.remove(service)
            progress.say(f"{service.title} is up ({time.monotonic() - began_s:.1f} s)")
        states = supervisor.states()
        for service in waiting:
            starts[service.name].add(states[service.name].started_s)
            if len(starts[service.name]) > _STARTS_TO_BELIEVE or time.monotonic() > deadline_s:
                raise _not_up(service, folders)
        if waiting:
            time.sleep(_POLL_S)


def _not_up(service: Service, folders: Folders) -> ServiceError | DiskFullError:
    said = last_words(folders.log(service.name))
    kind = DiskFullError if "No space left" in said else ServiceError
    return kind(
        f"{service.title}: does not come up ({said or 'it said nothing'}); all of it in {folders.log(service.name)}; "
        "it is tried again until 'matinee down'"
    )


def _stack(folders: Folders, state: StackState, supervisor: Supervisor) -> Stack:
    from matinee.stack.services import SERVICES  # noqa: PLC0415 - see start

    states = supervisor.states()
    services = tuple(name for name in SERVICES if states[name].is_up)
    return Stack(
        data_dir=folders.root,
        services=services,
        postgres_url=state.postgres_url,
        s3=state.s3,
        mlflow_url=state.mlflow_url,
        jupyter_url=state.jupyter_login_url,
        listen=state.listen,
        opened=_opened(services, state),
    )


def _opened(services: Iterable[str], state: StackState) -> tuple[str, ...]:
    """What an address that is not the loopback lets others do."""
    if not state.is_open:
        return ()
    told = {
        "s3": f"S3, port {state.s3_open_port}: needs its keys; not encrypted",
        "postgres": f"Postgres, port {state.postgres_port}: needs its password; not encrypted",
        "mlflow": f"MLflow, port {state.mlflow_port}: needs nothing, everybody may read and write runs and models",
        "jupyter": f"JupyterLab, port {state.jupyter_port}: needs its token, runs any code as this user; not encrypted",
    }
    return tuple(told[name] for name in services if name in told)
