"""How far the log of told events has come, in eight bytes that all worker processes of this machine share.

A worker writes it after its commit and before it acknowledges; another reads it before it answers, and so knows without
asking Postgres whether it has missed anything that was acknowledged.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Position"]

_PLACE: Final = struct.Struct("=q")


class Position:
    """The last place known to be committed; it only ever moves forward."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._memory = mmap.mmap(handle, _PLACE.size)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The position that lies at `path`, made where there is none."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(handle, _PLACE.size)
        return cls(handle)

    def read(self) -> int:
        """The place."""
        place: int = _PLACE.unpack(self._memory[:])[0]
        return place

    def reach(self, place: int) -> None:
        """The log has come to `place` at least."""
        # The kernel lifts this lock when its holder is killed, as a lock in shared memory would not be.
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            if place > self.read():
                self._memory[:] = _PLACE.pack(place)
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()
        os.close(self._handle)
