"""A file that appears complete or not at all: written beside its place, brought to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import DiskFullError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["atomic", "is_full", "make_folder", "write_atomically"]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a hidden file beside `path` that takes its place when the block ends well, and vanishes when it does not.

    A process that is killed leaves the hidden file behind, and `path` as it was.

    Raises:
        DiskFullError: no space left.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        beside = Path(name)
        try:
            yield beside
            _sync(beside)
            beside.chmod(0o644)  # mkstemp's 0600 is for secrets
            beside.replace(path)
            _sync(path.parent)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        if is_full(error):
            raise DiskFullError(f"{path}: no space left for it; make room and run again") from None
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`; see `atomic`.

    Raises:
        DiskFullError: no space left.
    """
    with atomic(path) as beside:
        beside.write_bytes(content)


def make_folder(folder: Path) -> None:
    """Make the folder for a model's files, and those above it, where they are missing.

    Raises:
        DiskFullError: no space left.
        ModelError: none can be made there, as where a file has that name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_full(error):
            raise DiskFullError(f"{folder}: no space left for it; make room and run again") from None
        raise ModelError(f"{folder}: no folder can be made there ({error.strerror}); choose another --out") from None


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
