"""Stop services of the stack, those that others need last, and remember which of them are to stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from matinee.stack.endpoint import write_private
from matinee.stack.state import StackState
from matinee.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.stack.folders import Folders

__all__ = ["forget", "keep", "kept", "stop", "stop_all"]

_KEPT: Final = "kept.json"


def stop(names: Iterable[str], folders: Folders) -> None:
    """Stop services in waves: first what needs others, all of a wave at once. The caller holds `folders.changing()`."""
    from matinee.stack.services import SERVICES  # noqa: PLC0415 - brings psycopg, which may not be installed

    supervisor = Supervisor(folders)
    stopping = set(names)
    late = {need for name in stopping for need in SERVICES[name].needs} & stopping
    for wave in (stopping - late, late):
        for name in sorted(wave):
            supervisor.stop_service(name)
        supervisor.wait_stopped(wave)


def stop_all(folders: Folders) -> bool:
    """Stop every service and the supervisor; False where none ran. The caller holds `folders.changing()`."""
    supervisor = Supervisor(folders)
    ran = bool(supervisor.pid)
    if ran:
        stop(supervisor.states(), folders)
    supervisor.shut_down()
    forget(folders)
    state = StackState.read(folders.state)
    if ran and state is not None:
        from matinee.stack.s3 import clear_sockets  # noqa: PLC0415 - brings the HTTP client

        clear_sockets(state.s3_ports)
    return ran


def keep(names: Iterable[str], folders: Folders) -> None:
    """Remember that these services, too, stay until `matinee down`, whoever uses the stack in the meantime."""
    write_private(folders.run / _KEPT, json.dumps(sorted({*kept(folders), *names})) + "\n")


def kept(folders: Folders) -> set[str]:
    """The services that stay until `matinee down`; none where the supervisor does not run."""
    try:
        return set(json.loads((folders.run / _KEPT).read_bytes())) if Supervisor(folders).pid else set()
    except (OSError, ValueError):
        return set()


def forget(folders: Folders) -> None:
    """No service is to stay."""
    (folders.run / _KEPT).unlink(missing_ok=True)
