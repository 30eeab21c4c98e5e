"""Starts the servers that are measured, waits until they can be asked, and stops them with all they have started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BENCHMARKS", "cpu_s", "matinee_serve", "started"]

BENCHMARKS = Path(__file__).parent
_PATIENCE_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_URL = re.compile(r'"url": "([^"]+)"')


@contextmanager
def started(command: Sequence[str], health: str, log: Path) -> Iterator[int]:
    """A program that can be asked: the address `health` answers with 200. Its pid; what it says goes to `log`."""
    with log.open("ab") as said, _running(command, said) as process:
        deadline_s = time.monotonic() + _PATIENCE_S
        while not _answers(health):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"{' '.join(command)}: does not answer; see {log}: {log.read_text()[-500:]}")
            time.sleep(0.1)
        yield process.pid


@contextmanager
def matinee_serve(model: Path, version: Path, data_dir: Path, workers: int, log: Path) -> Iterator[tuple[str, int]]:
    """Our own, as it is typed; its address and its pid."""
    command = [
        sys.executable, "-m", "matinee", "serve", str(model), "--version", str(version), "--port", "0",
        "--rehearsal", f"benchmark-{time.time_ns()}", "--workers", str(workers), "--data-dir", str(data_dir), "--json",
    ]  # fmt: skip
    with log.open("ab") as said, _running(command, said, output=subprocess.PIPE) as process:
        text = ""
        while not (found := _URL.search(text)):
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"matinee serve does not start; see {log}: {log.read_text()[-500:]}")
            text += line
        yield found[1], process.pid


def cpu_s(pid: int) -> float:
    """What a started program and all processes of its session, those that run, have used."""
    used = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12]) if int(fields[3]) == pid else 0
    return used / _TICKS


@contextmanager
def _running(command: Sequence[str], said: object, output: object = None) -> Iterator[subprocess.Popen[str]]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow calls uvicorn by its name
    process = subprocess.Popen(
        command,
        stdout=output or said,  # type: ignore[call-overload]  # a file or PIPE
        stderr=said,
        env=os.environ | {"PATH": path},
        start_new_session=True,
        text=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """All of its group: a child that lives on would answer for the next server on its port."""
    deadline_s = time.monotonic() + _PATIENCE_S / 4
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while True:
            process.poll()  # or it stays in its group as a zombie
            os.killpg(process.pid, 0)
            if time.monotonic() > deadline_s:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.05)


def _answers(health: str) -> bool:
    try:
        with urllib.request.urlopen(health, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
