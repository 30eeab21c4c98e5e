"""`matinee status`: how each service of the stack is."""

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder
from matinee.sizes import show_size

if TYPE_CHECKING:
    from matinee.stack.status import ServiceStatus

__all__ = ["status"]

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86400


def status(*, data_dir: Path | None = None, output: Output = SPEAKING) -> int:
    """Tell how each service of the stack is.

    The exit code is 0 where something runs and all that is meant to run is healthy, else 1.

    Args:
        data_dir: The data folder; by default matinee-data.
        output: How to tell.
    """
    from matinee.stack.status import status as ask  # noqa: PLC0415 - a command's rooms are loaded when it is called

    told = ask(data_dir=data_folder(data_dir))
    output.table(
        ("service", "state", "address", "pid", "up", "memory"),
        [_row(service) for service in told.services],
        right=("pid", "up", "memory"),
    )
    for service in told.services:
        if service.note:
            output.line(f"{service.title}: {service.note}")
    if told.running:
        output.line(f"{show_size(told.memory_bytes)} of memory in all; the data is in {told.data_dir}.")
    else:
        output.line(f"No stack runs in {told.data_dir}; `matinee up` starts it.")
    output.result(told)
    return 0 if told.healthy else 1


def _row(service: "ServiceStatus") -> tuple[object, ...]:
    memory = None if service.memory_bytes is None else show_size(service.memory_bytes)
    pid = None if service.pid is None else str(service.pid)
    return service.title, service.state, service.address, pid, _duration(service.uptime_s), memory


def _duration(wall_s: int | None) -> str:
    """'12 s', '5 min', '3 h', '2 d'."""
    if wall_s is None:
        return ""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if wall_s >= unit_s:
            return f"{wall_s // unit_s} {unit}"
    return f"{wall_s} s"
