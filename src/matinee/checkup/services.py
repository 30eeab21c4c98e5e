"""The stack of a data folder: what of it runs and answers, and whether its ports are still its own."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

from matinee.checkup.finding import Finding, note, ok, problem
from matinee.errors import MatineeError
from matinee.processes import is_same
from matinee.stack.endpoint import is_free
from matinee.stack.folders import Folders
from matinee.stack.state import StackState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matinee.stack.services import Service

__all__ = ["services"]


def services(data_dir: Path) -> Iterator[Finding]:
    """Each service of the stack, or that there is none yet."""
    folders = Folders.of(data_dir)
    try:
        state = StackState.read(folders.state)
    except MatineeError as error:
        yield problem("stack", "what it has to remember cannot be read", str(error))
        return
    if state is None:
        yield ok("stack", f"none in {folders.root} yet; 'matinee up' makes one")
        return
    if find_spec("psycopg") is None:
        yield problem("stack", f"{folders.root} has one, but its programs are missing", "pip install 'matinee[stack]'")
        return
    from matinee.stack.services import SERVICES  # noqa: PLC0415 - the light install has no psycopg

    for service in SERVICES.values():
        yield _service(service, folders, state)


def _service(service: Service, folders: Folders, state: StackState) -> Finding:
    name, ports = service.name, service.ports(state)
    check = f"service {name}"
    if service.is_healthy(state):
        return ok(check, f"{service.title} is well, port {next(iter(ports.values()))}")
    if _runs(folders.process(name)):
        advice = f"right after a start wait a minute; else see 'matinee logs {name}', then matinee restart {name}"
        return problem(check, f"{service.title} runs, but does not answer", advice)
    taken = [port for port in ports.values() if not is_free(port, state.listen)]
    if taken:
        return problem(
            check,
            f"{service.title} does not run, and another program has its port {taken[0]}",
            f"end that program ('ss -ltnp sport = :{taken[0]}' names it), then matinee up {name}",
        )
    return note(check, f"{service.title} does not run", f"matinee up {name}")


def _runs(record: Path) -> bool:
    """Whether the process that the launcher wrote down is still there."""
    try:
        plain = json.loads(record.read_bytes())
        return is_same(int(plain["pid"]), str(plain["birth"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
