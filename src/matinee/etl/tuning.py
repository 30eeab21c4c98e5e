"""How large the pieces of work are, all derived from one memory limit; none of them changes a result."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Tuning", "default_memory_limit_bytes"]

_MIB = 1 << 20
# Bytes that one event occupies while its bucket is sorted, numbered, formatted and waiting to be written, with the
# buckets before and after it in flight; measured with benchmarks/etl.py, rounded up.
_BYTES_PER_EVENT_IN_FLIGHT = 320


@dataclass(frozen=True, slots=True)
class Tuning:
    """Sizes of the pieces in which a log is worked on.

    Attributes:
        chunk_bytes: text parsed at once by one worker.
        bucket_events: events sorted at once.
        block_bytes: spilled bytes kept in memory before the rest goes to the temporary folder.
    """

    chunk_bytes: int
    bucket_events: int
    block_bytes: int

    @classmethod
    def for_memory(cls, limit_bytes: int, workers: int) -> Self:
        """Divide `limit_bytes` between the text in parsing, the buckets in sorting and the spill kept in memory."""
        return cls(
            chunk_bytes=min(4 * _MIB, max(64 << 10, limit_bytes // (32 * workers))),
            bucket_events=min(_MIB, max(1024, limit_bytes // (2 * _BYTES_PER_EVENT_IN_FLIGHT))),
            block_bytes=limit_bytes // 4,
        )


def default_memory_limit_bytes() -> int:
    """A quarter of what this process may use: the machine's memory, or its control group's where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # no control group, or one without a limit ("max")
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits) // 4
