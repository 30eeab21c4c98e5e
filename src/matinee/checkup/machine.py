"""The machine: processors, memory, open files, and its clocks."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.checkup.finding import Finding, note, ok, problem
from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clock", "machine", "memory"]

_GB: Final = 10**9
_MEMORY_PROBLEM_BYTES: Final = 1 * _GB
_MEMORY_NOTE_BYTES: Final = 4 * _GB  # the stack at rest, a browser's notebook, and a transform beside it
_NEEDED_FILES: Final = 1024
_SAMPLE_S: Final = 0.05
_STEP_S: Final = 0.02
_TIME_ERROR: Final = 5  # adjtimex: nobody keeps this clock in time
_TIMEX_BYTES: Final = 256  # struct timex is 208 bytes on 64 bits


def machine() -> Iterator[Finding]:
    """Each of them."""
    yield ok("processors", f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}")
    yield memory(*_memory_bytes())
    yield _open_files()
    yield clock(_wall_steps_s(), datetime.now(UTC), _is_kept_in_time())


def memory(usable_bytes: int, available_bytes: int) -> Finding:
    """What this process may use, and what of it is free now."""
    found = f"{show_size(available_bytes)} free of {show_size(usable_bytes)}"
    if available_bytes < _MEMORY_PROBLEM_BYTES:
        return problem("memory", found, "end other programs, or set memory_limit; the stack alone takes 600 MB")
    if available_bytes < _MEMORY_NOTE_BYTES:
        return note("memory", found, f"{show_size(_MEMORY_NOTE_BYTES)} let the stack and a transform run side by side")
    return ok("memory", found)


def clock(steps_s: float, now: datetime, kept: bool | None) -> Finding:
    """Whether time passes evenly, lies where it can lie, and is kept by somebody.

    Args:
        steps_s: how far the wall clock went astray from the monotonic one in a short while.
        now: the wall clock's time.
        kept: a time service keeps it; None where the kernel does not tell.
    """
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    installed = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < installed:
        return problem(
            "clock", f"{found}, before Matinee was installed ({installed:%Y-%m-%d})", "set it: timedatectl set-ntp true"
        )
    if abs(steps_s) > _STEP_S:
        return note(
            "clock",
            f"{found}, and steps by {steps_s:+.3f} s within {_SAMPLE_S} s",
            "something sets it in jumps; timestamps in logs and lineage may be out of order",
        )
    if kept is False:
        return note("clock", f"{found}, kept in time by nobody", "stores refuse 15 minutes: timedatectl set-ntp true")
    return ok("clock", f"{found}, {'kept in time' if kept else 'the kernel does not say who keeps it'}")


def _memory_bytes() -> tuple[int, int]:
    """Usable and free memory: the machine's, or the control group's where that is less."""
    usable = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    available = int(fields["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no control group, or one without a limit ("max")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        usable, available = min(usable, limit), min(available, limit - used)
    return usable, available


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _NEEDED_FILES:
        return note("open files", f"{soft} at once", f"ulimit -n {_NEEDED_FILES} (the most allowed here is {hard})")
    return ok("open files", f"{soft} at once")


def _wall_steps_s() -> float:
    """How far wall clock and monotonic one part within a short while; the best of three, as we may be paused."""
    parted = []
    for _ in range(3):
        wall, steady = time.time(), time.monotonic()
        time.sleep(_SAMPLE_S)
        parted.append((time.time() - wall) - (time.monotonic() - steady))
    return min(parted, key=abs)


def _is_kept_in_time() -> bool | None:
    """What the kernel says, whichever service tells it: chrony, ntpd, systemd-timesyncd or the host."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        state: int = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # all zeros: only ask
    except AttributeError:
        return None
    return None if state < 0 else state != _TIME_ERROR
