"""Files of a version as they are written: every byte goes through SHA-256 on its way, so no file is read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from matinee.schema.layout import SPLITS, Split
from matinee.schema.manifest import FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["HashedFile", "open_splits"]


class HashedFile:
    """A new file, `path` in `folder`, written from start to end without a buffer; its folders are made.

    Also file-like enough for pyarrow to write to. Not thread-safe.
    """

    def __init__(self, folder: Path, path: str, *, hashed: bool = True) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._size = 0
        self._hash = hashlib.sha256() if hashed else None
        self._file: int | None = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    @property
    def closed(self) -> bool:
        """Whether pyarrow should refuse to write; an aborted file still takes, and drops, what comes."""
        return False

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append C-contiguous bytes, all of them; after `abort` they are dropped.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        view = memoryview(data)
        size = view.nbytes
        if size and self._file is not None:
            rest = view.cast("B")
            if self._hash is not None:
                self._hash.update(rest)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._size += size
        return size

    def tell(self) -> int:
        """Bytes written so far."""
        return self._size

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self, rows: int | None = None) -> FileEntry:
        """Close the file and say what is in it; its SHA-256 is empty when it was not hashed.

        Raises:
            OSError: the system could not keep what was written.
        """
        if self._file is None:
            raise ValueError(f"{self._path}: closed already")
        file, self._file = self._file, None
        os.close(file)
        return FileEntry(self._path, self._size, self._hash.hexdigest() if self._hash is not None else "", rows)

    def abort(self) -> None:
        """Let go of the file as it is; safe at any time, also twice."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                os.close(file)


def open_splits(folder: Path, path: Callable[[Split], str], *, hashed: bool = True) -> dict[Split, HashedFile]:
    """A file for each split; when one cannot be opened, none stays open."""
    files: dict[Split, HashedFile] = {}
    try:
        for split in SPLITS:
            files[split] = HashedFile(folder, path(split), hashed=hashed)
    except BaseException:
        for file in files.values():
            file.abort()
        raise
    return files
