"""A version leaves Matinee: a folder that other trainers read, complete or not there, with a record of its origin."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from matinee.errors import DiskFullError, UsageError, VersionConflictError
from matinee.etl.staging import staged
from matinee.place import open_named_version
from matinee.schema.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matinee.schema.progress import Progress
    from matinee.version import Version

__all__ = ["RECORD", "ExportFile", "ExportFolder", "ExportedVersion", "export_version"]

RECORD: Final = "matinee.json"
_EXPORTS: Final = "exports"  # in the data folder
_FORMAT: Final = 1  # of the files and of the record; raised by a change to either


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export: path relative to its folder, size, SHA-256, events or ids in it (None: a text)."""

    path: str
    size_bytes: int
    sha256: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class ExportedVersion:
    """What came of an export.

    Attributes:
        path, format: the folder, and what is in it.
        dataset, version: what it was made of.
        files: all of it but the record.
        unchanged: it was there already.
    """

    path: Path
    format: str
    dataset: str
    version: str
    files: tuple[ExportFile, ...]
    unchanged: bool

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)


class ExportFolder:
    """Where the writer of a format puts its files; each is hashed on its way.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[ExportFile] = []

    @property
    def files(self) -> tuple[ExportFile, ...]:
        """What has been written, by path."""
        return tuple(sorted(self._files, key=lambda file: file.path))

    @contextmanager
    def open(self, path: str, rows: int | None = None) -> Iterator[HashedFile]:
        """A new file at a path below the folder; `rows` are the events or ids that it will hold."""
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (self._folder / path).open("wb") as raw:
            file = HashedFile(raw)
            yield file
            raw.flush()
            os.fsync(raw.fileno())  # before the folder gets the name that says that all is there
        self._files.append(ExportFile(path, file.size_bytes, file.sha256, rows))


class HashedFile(io.RawIOBase):
    """A file that knows the SHA-256 of what was written to it, so that nobody reads it again for that."""

    def __init__(self, raw: io.BufferedWriter) -> None:
        self._raw, self._digest, self.size_bytes = raw, hashlib.sha256(), 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int:
        """All of `content`, whatever bytes it is made of."""
        written = self._raw.write(content)
        self._digest.update(content)
        self.size_bytes += written
        return written

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()


def export_version(
    version: str | Path,
    format: Literal["recbole", "sasrec", "hf"],  # noqa: A002 - see `matinee.export`
    out: str | Path | None = None,
    data_dir: str | Path = "matinee-data",
    progress: Progress | None = None,
) -> ExportedVersion:
    """Write `version` into the folder `out`; see `matinee.export`, which is this for versions.

    Raises:
        VersionNotFoundError, VersionDamagedError, VersionConflictError, UsageError, DiskFullError: see there.
    """
    opened = open_named_version(version, data_dir=data_dir, progress=progress)
    folder = Path(out) if out is not None else Path(data_dir) / _EXPORTS / opened.name / opened.id / format
    origin = {
        "matinee_export": _FORMAT,
        "format": format,
        "dataset": opened.name,
        "version": opened.id,
        "manifest_sha256": opened.sha256,
        "source_sha256": opened.manifest.source.sha256,
    }
    there = _there(folder, origin)
    if there is not None:
        return ExportedVersion(folder, format, opened.name, opened.id, there, unchanged=True)
    with _said(folder), staged(folder, replace_existing=False) as partial:
        place = ExportFolder(partial)
        _write(opened, format, place, progress or Silent())
        record = origin | {"files": [asdict(file) for file in place.files]}
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return ExportedVersion(folder, format, opened.name, opened.id, place.files, unchanged=False)


def _there(folder: Path, origin: Mapping[str, object]) -> tuple[ExportFile, ...] | None:
    """The files of the same export, where `folder` has it whole; None where it is empty or missing."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = tuple(ExportFile(**file) for file in record.pop("files"))
        if record == origin and all((folder / file.path).stat().st_size == file.size_bytes for file in files):
            return files
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # not one of ours, or one that somebody took pieces out of
    raise VersionConflictError(
        f"{folder}: something else is there, expected nothing, or this very export; choose another --out"
    )


def _write(version: Version, format: str, place: ExportFolder, progress: Progress) -> None:  # noqa: A002 - see above
    if format == "hf":
        from matinee.etl.export_hf import write_hf  # noqa: PLC0415 - one of three is wanted

        write_hf(version, place, progress)
    elif format == "recbole":
        from matinee.etl.export_recbole import write_recbole  # noqa: PLC0415 - as above

        write_recbole(version, place, progress)
    else:
        from matinee.etl.export_sasrec import write_sasrec  # noqa: PLC0415 - as above

        write_sasrec(version, place, progress)


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """What the disk refuses ends in one line."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"{folder}: no space left for it; make room and run again") from None
        raise UsageError(f"{folder}: cannot be written ({error.strerror or error}); choose another --out") from None
