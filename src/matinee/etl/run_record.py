"""run.json: how one transform went on one machine; never part of a version's identity."""

from __future__ import annotations

import os
import platform
import resource
import sys
from datetime import UTC, datetime
from importlib import metadata

__all__ = ["run_record"]


def run_record(phases: dict[str, float], events: int, limit_bytes: int, workers: int) -> dict[str, object]:
    """Durations in seconds, rate, memory, machine and library versions."""
    wall_s = sum(phases.values())
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(wall_s, 3),
        "phases_s": {name: round(seconds, 3) for name, seconds in phases.items()},
        "events_per_s": round(events / wall_s) if wall_s else None,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "memory_limit_bytes": limit_bytes,
        "workers": workers,
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "python": sys.version.split()[0],
        "libraries": {name: metadata.version(name) for name in ("matinee", "numpy", "numba", "pyarrow")},
    }
