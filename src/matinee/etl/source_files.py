"""What a version says and keeps of its source, and entries of files that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import VersionConflictError
from matinee.etl.digest import file_sha256
from matinee.etl.hashing import HashedFile
from matinee.schema.layout import RAW
from matinee.schema.manifest import FileEntry, SourceEntry

if TYPE_CHECKING:
    from matinee.etl.extract import Archive

__all__ = ["copy_raw", "file_entry", "source_entry"]


def source_entry(path: Path, source: str | Path | Archive, sha256: str, member: str) -> SourceEntry:
    """The source as the manifest names it."""
    return SourceEntry(
        name=path.name if isinstance(source, str | Path) else source.name,
        archive=path.name,
        size=path.stat().st_size,
        sha256=sha256,
        origin=getattr(source, "origin", path.name),
        member=member,
    )


def copy_raw(path: Path, source: SourceEntry, folder: Path) -> FileEntry:
    """Copy the archive as fetched; what was copied is hashed, so that a source changed meanwhile does not slip in.

    Raises:
        VersionConflictError: it has changed since it was hashed.
    """
    copy = HashedFile(folder, f"{RAW}/{source.archive}")
    with path.open("rb") as original:
        while piece := original.read(1 << 22):
            copy.write(piece)
    entry = copy.close(None)
    if entry.sha256 != source.sha256:
        raise VersionConflictError(
            f"{path}: changed while in use (SHA-256 {source.sha256[:12]}... then {entry.sha256[:12]}...); "
            "run again when it is at rest"
        )
    return entry


def file_entry(folder: Path, path: str, rows: int | None = None) -> FileEntry:
    """The entry of a file that lies in `folder`."""
    file = folder / path
    return FileEntry(path, file.stat().st_size, file_sha256(file, cache=None), rows)
