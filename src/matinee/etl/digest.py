"""Checksums of files, streamed, and remembered so that a source of gigabytes is not hashed at every command."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import SourceError, SourceNotFoundError
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["default_cache", "file_digests", "file_sha256", "hash_into", "remember"]

_CHUNK_BYTES: Final = 1 << 20
_SETTLED_NS: Final = 2 * 10**9  # a file written to within the last 2 s may change again without a new mtime
_MAX_ENTRIES: Final = 2_000
_FORMAT: Final = 1


def file_sha256(path: Path, *, cache: Path | None = None, progress: Progress | None = None) -> str:
    """The file's SHA-256 in lower-case hex; see `file_digests`."""
    return file_digests(path, ("sha256",), cache=cache, progress=progress)["sha256"]


def file_digests(
    path: Path, algorithms: Sequence[str], *, cache: Path | None = None, progress: Progress | None = None
) -> dict[str, str]:
    """The file's checksums in lower-case hex, by algorithm ('sha256', 'md5'), all from one reading.

    A checksum found before is taken from the cache as long as path, device, inode, size and modification time are the
    same, and the file had been left alone for 2 s when it was hashed. A cache that is broken, or cannot be written,
    only costs time.

    Args:
        path: a regular file.
        algorithms: names that `hashlib` knows.
        cache: the cache's file; None is `default_cache()`.
        progress: told of a phase 'hash' where bytes have to be read.

    Raises:
        SourceNotFoundError: there is no such file.
        SourceError: it cannot be read, or changed while it was.
    """
    cache = cache or default_cache()
    try:
        known = _read_cache(cache).get(os.path.realpath(path), {})
        if _identity(path.stat()) == known.get("identity") and all(name in known for name in algorithms):
            return {name: str(known[name]) for name in algorithms}
        digests, status = _hash(path, algorithms, progress or Silent())
    except FileNotFoundError:
        raise SourceNotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from None
    if time.time_ns() - status.st_mtime_ns >= _SETTLED_NS:
        _store(cache, path, status, digests)
    return digests


def remember(path: Path, digests: dict[str, str], *, cache: Path | None = None) -> None:
    """Note checksums that are known otherwise: of a file whose bytes were hashed before it got its name.

    The 2 s of `file_digests` do not apply, as nobody else could have written to it.
    """
    with contextlib.suppress(OSError):
        _store(cache or default_cache(), path, path.stat(), digests)


def default_cache() -> Path:
    """`matinee/digests.json` in XDG_CACHE_HOME, which is `~/.cache` unless it is set (to an absolute path)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "matinee" / "digests.json"  # noqa: PTH117 - '' is no path


def hash_into(path: Path, hashes: Sequence[Any], progress: Progress | None = None) -> int:
    """Feed the whole file to each of `hashes`; returns its bytes."""
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    total = 0
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(buffer):
            for each in hashes:
                each.update(view[:got])
            total += got
            if progress is not None:
                progress.advance(got)
    return total


def _hash(path: Path, algorithms: Sequence[str], progress: Progress) -> tuple[dict[str, str], os.stat_result]:
    before = path.stat()
    hashes = [hashlib.new(name, usedforsecurity=name == "sha256") for name in algorithms]
    progress.start("hash", before.st_size, "bytes")
    hash_into(path, hashes, progress)
    progress.finish()
    if _identity(path.stat()) != _identity(before):
        raise SourceError(f"{path} changed while it was read; wait until it is complete and run again")
    return dict(zip(algorithms, (each.hexdigest() for each in hashes), strict=True)), before


def _identity(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def _read_cache(cache: Path) -> dict[str, dict[str, Any]]:
    try:
        plain = json.loads(cache.read_bytes())
        if plain["format"] != _FORMAT:
            return {}
        return {str(path): dict(entry) for path, entry in plain["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _store(cache: Path, path: Path, status: os.stat_result, digests: dict[str, str]) -> None:
    """Add one entry. Of two processes that write at once one wins; the other's file is hashed once more some day."""
    entries = _read_cache(cache)
    place, identity = os.path.realpath(path), _identity(status)
    known = entries.pop(place, {})
    kept = known if known.get("identity") == identity else {}
    entries[place] = {**kept, "identity": identity, **digests}
    for oldest in list(entries)[:-_MAX_ENTRIES]:
        del entries[oldest]
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{cache.name}.", dir=cache.parent)
        try:
            with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
                json.dump({"format": _FORMAT, "files": entries}, file, indent=1)
            os.replace(temporary, cache)  # noqa: PTH105 - a name from mkstemp
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108 - a name from mkstemp
            raise
