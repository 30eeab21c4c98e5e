"""Hidden folders for work under way: one that becomes the result when all is done, and one that vanishes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import VersionConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["scratch", "staged"]


@contextmanager
def staged(out: Path, *, replace_existing: bool) -> Iterator[Path]:
    """Give a fresh hidden folder that becomes `out` when the block ends well, and vanishes when it does not.

    What a killed run left beside `out` is removed; what a running one holds (it keeps a lock on its folder) is not.

    Raises:
        VersionConflictError: `out` exists, is not empty, and is not to be replaced.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    folder = out.parent / f".{out.name}.partial-{os.getpid()}"
    folder.mkdir()
    lock = _lock(folder)
    try:
        yield folder
        _sync(folder)
        if replace_existing and out.exists():
            old = out.parent / f".{out.name}.replaced-{os.getpid()}"
            out.rename(old)
            folder.rename(out)
            shutil.rmtree(old)
        else:
            _move(folder, out)
        _sync_folder(out.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)


@contextmanager
def scratch(root: Path, name: str) -> Iterator[Path]:
    """Give a fresh hidden folder in `root` that vanishes at the block's end; what killed runs left there goes first."""
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root / name)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}.partial-", dir=root))
    lock = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _move(folder: Path, out: Path) -> None:
    try:
        folder.rename(out)  # onto an empty folder this is one step, too
    except OSError:
        if not out.exists():
            raise
        raise VersionConflictError(f"{out}: not empty; choose another --out, or --force") from None


def _sweep(out: Path) -> None:
    for kind in ("partial", "replaced"):
        for stale in out.parent.glob(f".{out.name}.{kind}-*"):
            try:
                lock = _lock(stale)
            except OSError:
                continue  # somebody works there
            if kind == "replaced" and not out.exists():
                stale.rename(out)  # killed between the two renames: the old one is still the good one
            else:
                shutil.rmtree(stale, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _sync(folder: Path) -> None:
    """Let the disk have the small files before the folder's name; the large ones follow in their own time.

    A power cut may thus leave a large file short under a good name; 'matinee versions verify' and publishing see it.
    """
    for file in folder.iterdir():
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
