"""`matinee backup`: all that the stack of a data folder keeps, in one file, while it runs."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import BackupError, DiskFullError, UsageError
from matinee.schema.progress import Progress, Silent
from matinee.stack.archive import Writer
from matinee.stack.folders import Folders
from matinee.stack.lifecycle import Stack, running

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEPT_FOLDERS", "NEEDED", "Backup", "backup"]

NEEDED: Final = ("postgres", "s3")
KEPT_FOLDERS: Final = ("jupyter", "lineage")  # what people and stages write beside the services


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds.

    Attributes:
        file: where it is.
        size_bytes: of the file.
        databases: rows by database.
        objects: by bucket, how many.
        files: notebooks and lineage.
    """

    file: Path
    size_bytes: int
    databases: dict[str, int]
    objects: dict[str, int]
    files: int


def backup(file: str | Path, *, data_dir: str | Path = "matinee-data", progress: Progress | None = None) -> Backup:
    """Write databases, buckets, notebooks, lineage and settings of a stack to one file; services may be in use.

    Postgres and S3 are started for it where they do not run. Each database is copied as it is at one moment, all of
    them before the objects: so what a row names is there, unless somebody deletes it in these minutes. The file holds
    the stack's credentials, and only its owner can read it.

    Args:
        file: where to; it must not be there, and appears when it is complete.
        data_dir: the data folder whose stack is meant.
        progress: told of each part.

    Raises:
        UsageError: there is no stack, or the file is there already.
        BackupError: a part cannot be read.
        ServiceError: Postgres or S3 does not come up.
        DiskFullError: no space.
    """
    file, folders, progress = Path(file).expanduser().absolute(), Folders.of(data_dir), progress or Silent()
    if not folders.state.is_file():
        raise UsageError(f"{folders.root}: no stack is here; name its folder with --data-dir")
    if file.exists():
        raise UsageError(f"{file}: is there already; name another file, or delete it")
    try:
        with running(folders.root, NEEDED, progress=progress) as stack, Writer(file) as writer:
            rows = dict(_databases(stack, writer, file.parent, progress))
            objects = dict(_objects(stack, writer, progress))
            files = _files(folders, writer, progress)
            _settings(folders, writer)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"{file}: no space left for the backup; free some, or choose another place") from None
        raise BackupError(f"{file}: cannot be written ({error}); choose another place") from None
    return Backup(file=file, size_bytes=file.stat().st_size, databases=rows, objects=objects, files=files)


def _databases(stack: Stack, writer: Writer, folder: Path, progress: Progress) -> Iterator[tuple[str, int]]:
    from matinee.stack.dump import databases, dump  # noqa: PLC0415 - brings psycopg, which may not be installed

    progress.start("databases", None, "rows")
    total = 0
    for name in databases(stack.postgres_url):
        url = f"{stack.postgres_url.rpartition('/')[0]}/{name}"
        with dump(url, folder) as made:
            writer.add("database", name, made.stream, made.size_bytes, rows=made.rows)
            rows = sum(made.rows.values())
        progress.advance(rows)
        total += rows
        yield name, rows
    progress.finish()


def _objects(stack: Stack, writer: Writer, progress: Progress) -> Iterator[tuple[str, int]]:
    from matinee.stack.objects import Objects  # noqa: PLC0415 - brings boto3

    objects = Objects(stack.s3)
    progress.start("objects", None, "bytes")
    for bucket in objects.buckets():
        writer.add("bucket", bucket, BytesIO(), 0)
        number = 0
        for key in objects.keys(bucket):
            with objects.open(bucket, key) as stored:
                if stored is None:
                    continue
                about = {"content_type": stored.content_type, "metadata": stored.metadata}
                writer.add("object", f"{bucket}/{key}", stored.stream, stored.size_bytes, **about)
                progress.advance(stored.size_bytes)
                number += 1
        yield bucket, number
    progress.finish()


def _files(folders: Folders, writer: Writer, progress: Progress) -> int:
    """Regular files alone: a link may lead out of the folder."""
    paths = [
        path
        for name in KEPT_FOLDERS
        for path in sorted((folders.root / name).rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]
    progress.start("files", len(paths), "files")
    for path in paths:
        with path.open("rb") as stream:
            status = path.stat()
            name = path.relative_to(folders.root).as_posix()
            writer.add("file", name, stream, status.st_size, mode=status.st_mode & 0o777)
        progress.advance(1)
    progress.finish()
    return len(paths)


def _settings(folders: Folders, writer: Writer) -> None:
    content = folders.state.read_bytes()
    writer.add("settings", folders.state.name, BytesIO(content), len(content))
