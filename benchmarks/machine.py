"""What the figures were measured on, and how busy it was; nothing that names the machine."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["busy_share", "describe_machine"]

_LIBRARIES = ("matinee", "numba", "numpy", "pyarrow", "polars", "duckdb", "pandas")


def describe_machine(libraries: Sequence[str] = _LIBRARIES) -> dict[str, Any]:
    """Processor, cores this process may use, memory, kernel, Python, versions of libraries, and the day."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in libraries},
        "day": datetime.now(UTC).date().isoformat(),
    }


def busy_share(seconds: float = 1.0) -> float:
    """How much of the cores everybody together uses during so many seconds: 0 to 1."""
    before = _cpu_ticks()
    time.sleep(seconds)
    used, all_ = (after - earlier for after, earlier in zip(_cpu_ticks(), before, strict=True))
    return round(used / max(1, all_), 3)


def _cpu_ticks() -> tuple[int, int]:
    """Used, and all, of all cores since boot."""
    user, nice, system, idle, wait, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    used = user + nice + system + sum(rest)
    return used, used + idle + wait


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
