"""Folders: whether the data folder and the kernels' cache can be written, and how much room there is."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.checkup.finding import Finding, note, ok, problem
from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["disk", "folders", "kernel_cache", "writable"]

_GB: Final = 10**9
_DISK_PROBLEM_BYTES: Final = 1 * _GB
_DISK_NOTE_BYTES: Final = 10 * _GB
_SEAWEED_SHARE: Final = 0.01  # SeaweedFS takes no more writes when less of a disk is free
_FEW_FILES: Final = 10_000
_ATTEMPT: Final = ".matinee-doctor-"


def folders(data_dir: Path) -> Iterator[Finding]:
    """The data folder, its disk, the temporary folder's disk, and the cache of compiled kernels."""
    data_dir = data_dir.expanduser().absolute()
    yield writable("data folder", data_dir)
    yield disk("disk", data_dir)
    temporary = Path(tempfile.gettempdir())
    yield disk("temporary disk", temporary, note_bytes=_DISK_PROBLEM_BYTES)
    yield kernel_cache()


def writable(check: str, folder: Path) -> Finding:
    """Whether a file can be made there, synced, locked and renamed: what a version and a service need."""
    place = _nearest(folder)
    found = f"{folder}" if place == folder else f"{folder}, not made yet"
    if not place.is_dir():
        return problem(check, f"{place} is a file, not a folder", "name another folder with --data-dir")
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=_ATTEMPT) as file:
            file.write(b"matinee")
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return problem(
            check,
            f"{place}: {error.strerror}",
            "change its owner or its mount, or name another folder with --data-dir",
        )
    return ok(check, found)


def disk(
    check: str, folder: Path, *, problem_bytes: int = _DISK_PROBLEM_BYTES, note_bytes: int = _DISK_NOTE_BYTES
) -> Finding:
    """How much room there is where `folder` lies or would lie."""
    place = _nearest(folder)
    usage = shutil.disk_usage(place)
    found = f"{show_size(usage.free)} free of {show_size(usage.total)}, {place}"
    files = os.statvfs(place)
    if files.f_files and files.f_favail < _FEW_FILES:
        return problem(check, f"{found}, room for {files.f_favail} more files", "delete files, or use another disk")
    if usage.free < problem_bytes:
        return problem(check, found, "free some ('matinee versions gc' drops old versions), or name another --data-dir")
    if usage.free < usage.total * _SEAWEED_SHARE:
        return problem(check, found, "the embedded S3 takes no writes when less than 1% is free; free some")
    if usage.free < note_bytes:
        return note(
            check,
            found,
            "a version takes about twice its log, and as much again in the embedded store",
        )
    return ok(check, found)


def kernel_cache() -> Finding:
    """Where Numba keeps the compiled kernels: its own order of places, the first that can be written."""
    places = [Path(chosen)] if (chosen := os.environ.get("NUMBA_CACHE_DIR")) else []
    etl = find_spec("matinee.etl")
    if etl is not None and etl.submodule_search_locations:
        places.append(Path(etl.submodule_search_locations[0]) / "__pycache__")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    places.append(Path(cache) / "numba")
    for place in places:
        if writable("", place).level == "ok":
            return ok("kernel cache", str(place))
    return problem(
        "kernel cache",
        f"none of {', '.join(map(str, places))} can be written",
        "set NUMBA_CACHE_DIR to a folder that can, or transforms do not start",
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the closest above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())
