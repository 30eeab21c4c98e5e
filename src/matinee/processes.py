"""Child processes: those that must end with this one, those that must outlive it, and how to know one again.

Store and stack both start programs that listen; neither may import the other, so what they share lies here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["birth_of", "end", "is_same", "start_detached", "start_tied"]

_POLL_S: Final = 0.01
# Runs in the child before the program: the kernel sends it a signal when its parent goes, however that happens. A
# parent that has gone already is noticed by its id. Not `preexec_fn`: that runs Python between fork and exec, which
# may deadlock where there are threads.
_TIE: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))
if os.getppid() != int(sys.argv[2]):
    sys.exit(1)
os.execv(sys.argv[3], sys.argv[3:])
"""


def start_tied(
    argv: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    output: IO[bytes] | int = subprocess.DEVNULL,
    errors: IO[bytes] | int = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start a program that is killed when this process ends, even by SIGKILL.

    Args:
        argv: the program as an absolute path, and its arguments.
        environment: all of its environment.
        output: where its stdout goes.
        errors: where its stderr goes; by default with stdout.

    Raises:
        OSError: it cannot be started.
    """
    tie = [sys.executable, "-I", "-S", "-c", _TIE, str(int(signal.SIGKILL)), str(os.getpid())]
    started: list[subprocess.Popen[bytes] | OSError] = []
    ready = threading.Event()

    def keep() -> None:
        # The kernel watches the thread that started the child, not the process: this one lives as long as the child.
        try:
            process = _popen([*tie, *map(str, argv)], environment, output, errors=errors)
        except OSError as error:
            started.append(error)
            ready.set()
            return
        started.append(process)
        ready.set()
        process.wait()

    threading.Thread(target=keep, name=f"keeper of {Path(argv[0]).name}", daemon=True).start()
    ready.wait()
    if isinstance(started[0], OSError):
        raise started[0]
    return started[0]


def start_detached(
    argv: Sequence[str | Path], *, environment: Mapping[str, str], output: IO[bytes] | int, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that outlives this process, out of reach of the terminal's Ctrl-C.

    Raises:
        OSError: it cannot be started.
    """
    process = _popen(list(map(str, argv)), environment, output, folder)
    # Someone has to take note of its end while we are here, or it would stay in the process table as a zombie.
    threading.Thread(target=process.wait, name=f"keeper of {Path(argv[0]).name}", daemon=True).start()
    return process


def end(process: int | subprocess.Popen[bytes], *, patience_s: float) -> None:
    """SIGTERM, and SIGKILL after `patience_s`; returns when the process is gone. One that is gone already is fine."""
    pid = process if isinstance(process, int) else process.pid
    for sign, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, patience_s)):
        if _is_gone(process):
            return
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline_s = time.monotonic() + wait_s
        while time.monotonic() < deadline_s:
            if _is_gone(process):
                return
            time.sleep(_POLL_S)


def birth_of(pid: int) -> str:
    """When a process started, as the kernel counts it; empty if it does not run. With the pid it is one of a kind."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return ""
    # The program's name stands in parentheses and may contain anything; what follows the last one is regular.
    fields = text.rpartition(")")[2].split()
    # A zombie whose other threads are still ending holds its ports and files for some milliseconds more.
    return "" if fields[0] in {"Z", "X"} and threads <= 1 else fields[19]


def is_same(pid: int, birth: str) -> bool:
    """Whether the process that `birth_of` told of still runs, and not another that got its pid."""
    return bool(birth) and birth_of(pid) == birth


def _popen(
    argv: list[str],
    environment: Mapping[str, str],
    output: IO[bytes] | int,
    folder: Path | None = None,
    errors: IO[bytes] | int = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
    )


def _is_gone(process: int | subprocess.Popen[bytes]) -> bool:
    if isinstance(process, int):
        return not birth_of(process)
    return process.poll() is not None
