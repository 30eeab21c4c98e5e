"""What the supervisor starts for each service: waits until all that it needs is well, and then becomes the service.

Run as `python -m matinee.stack.launch SERVICE` in the data folder's `run`. So a killed service comes back after what it
stands on, and no credential is ever an argument.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from matinee.errors import MatineeError
from matinee.processes import birth_of
from matinee.stack.folders import Folders
from matinee.stack.services import SERVICES, Service
from matinee.stack.state import StackState

__all__ = ["main"]

_POLL_S: Final = 0.2
_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Become the service that the first argument names."""
    service = SERVICES[sys.argv[1]]
    folders = Folders(Path.cwd().parent)
    supervisor = os.getppid()
    _tie(signal.SIGKILL, supervisor)
    record = {"pid": os.getpid(), "birth": birth_of(os.getpid())}  # both stay what they are when we become the service
    folders.process(service.name).write_text(json.dumps(record), encoding="utf-8")
    try:
        _become(service, folders, supervisor)
    except MatineeError as error:
        sys.exit(f"{service.name}: {error}")


def _become(service: Service, folders: Folders, supervisor: int) -> None:
    state = StackState.read(folders.state)
    if state is None:
        sys.exit(f"{folders.state}: gone; run 'matinee down' and 'matinee up'")
    for name in service.needs:
        while not SERVICES[name].is_healthy(state):
            time.sleep(_POLL_S)
    program = service.program(folders, state)
    if program.enter is None:
        os.chdir(program.folder)
    else:
        program.enter(program.folder)
    # Once more, as the kernel forgets it when the user changes; and with the signal that ends this service well.
    _tie(getattr(signal, f"SIG{service.stop_signal}"), supervisor)
    os.execve(program.argv[0], program.argv, program.environment)  # noqa: S606 - a list, no shell


def _tie(sign: int, supervisor: int) -> None:
    """Have the kernel send us a signal when the supervisor goes, however that happens: it could not be found again."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(sign))
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")


if __name__ == "__main__":
    main()
