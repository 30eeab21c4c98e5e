"""What the supervisor cannot see: a service that runs and does nothing, and a stack that nobody needs any more.

The supervisor starts `python -m matinee.stack.watch` in the data folder's `run` along with itself. A service that has
not answered for a minute is killed, so that it is started anew. Where a program that used the stack for a while was
killed before it could stop it, the stack is taken down in its place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

from matinee.errors import ServiceError
from matinee.stack.folders import Folders
from matinee.stack.stop import kept
from matinee.stack.supervisor import Supervisor

__all__ = ["Patience", "main"]

_EVERY_S: Final = 5.0
_SILENT_S: Final = 60.0  # a busy service may take long to answer
_UNNEEDED_ROUNDS: Final = 2  # a newcomer needs a moment to come in


def main() -> None:
    """Watch until the supervisor goes, and end with it."""
    folders = Folders(Path.cwd().parent)
    supervisor, parent, patience = Supervisor(folders), os.getppid(), Patience(_SILENT_S)
    rounds = 0
    while os.getppid() == parent:
        time.sleep(_EVERY_S)
        with contextlib.suppress(ServiceError):  # a damaged state, a supervisor that is busy: the next round may tell
            with folders.changing():
                rounds = 0 if kept(folders) or folders.in_use() else rounds + 1
                if rounds >= _UNNEEDED_ROUNDS:
                    supervisor.ask_to_shut_down()
                    signal.pause()  # with the lock, until we are stopped as the last of all
            for pid in patience.exhausted(folders, supervisor):
                os.kill(pid, signal.SIGKILL)


class Patience:
    """Since when each process has been silent, and for how long it may be."""

    def __init__(self, silent_s: float) -> None:
        self._silent_s = silent_s
        self._since_s: dict[int, float] = {}

    def exhausted(self, folders: Folders, supervisor: Supervisor) -> list[int]:
        """Ask every service that runs; the processes that have been silent for too long."""
        from matinee.stack.services import SERVICES  # noqa: PLC0415 - the services that start now need the processor
        from matinee.stack.state import StackState  # noqa: PLC0415 - as above

        state, now_s = StackState.read(folders.state), time.monotonic()
        pids = {name: info.pid for name, info in supervisor.states().items() if info.is_up and info.pid}
        silent = [pid for name, pid in pids.items() if state is not None and not SERVICES[name].is_alive(state)]
        self._since_s = {pid: self._since_s.get(pid, now_s) for pid in silent}
        return [pid for pid, since_s in self._since_s.items() if now_s - since_s > self._silent_s]


if __name__ == "__main__":
    main()
