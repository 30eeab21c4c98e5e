"""`matinee restore`: a backup becomes a data folder again, checked byte by byte, or nothing happens."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from matinee.errors import BackupError, MatineeError, UsageError
from matinee.schema.progress import Progress, Silent
from matinee.stack.archive import Part, Reader
from matinee.stack.backup import KEPT_FOLDERS, NEEDED
from matinee.stack.endpoint import write_private
from matinee.stack.folders import Folders
from matinee.stack.lifecycle import Stack, down, running
from matinee.stack.state import StackState
from matinee.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Restored", "restore"]

_STAGING: Final = ".restoring"
_OF_THE_DISK: Final = "lost+found"  # what a new file system brings along


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back.

    Attributes:
        data_dir: where to.
        made: when the backup was made, ISO 8601 in UTC.
        databases: rows by database.
        objects: how many.
        files: notebooks and lineage.
        replaced: where that lies now what was there before; None where nothing was.
    """

    data_dir: Path
    made: str
    databases: dict[str, int]
    objects: int
    files: int
    replaced: Path | None


def restore(
    file: str | Path, *, force: bool = False, data_dir: str | Path = "matinee-data", progress: Progress | None = None
) -> Restored:
    """Bring a backup back into a folder of its own, and check all of it before the folder has its name.

    The backup is read and compared with its manifest first. Then Postgres and S3 run in a folder beside the place; what
    they hold is counted and read back; they stop; and the folder is moved into its place. Killed at any moment before
    that, there is nothing that looks restored, and the same call begins anew.

    Args:
        file: what `backup` wrote.
        force: where `data_dir` is not empty, move what is there aside, to a folder beside it; nothing is deleted.
        data_dir: a folder that is empty or not there.
        progress: told of each part.

    Raises:
        UsageError: `data_dir` is not empty and `force` is not given, or its stack runs.
        BackupError: the file is no backup, is damaged, or what came back differs from it.
        ServiceError: Postgres or S3 does not come up.
        DiskFullError: no space.
    """
    progress, target = progress or Silent(), Folders.of(data_dir).root
    with Reader(Path(file).expanduser()) as reader:
        _check_target(target, force=force)
        reader.verify(progress)
        staging = _fresh_staging(target)
        try:
            restored = _fill(reader, staging, progress)
            replaced = _make_way(target) if _things(target) else None
            _move(staging, target)
        except BaseException:
            _remove(staging)
            raise
    databases, objects, files = restored
    return Restored(target, reader.made, databases, objects, files, replaced)


def _check_target(target: Path, *, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target}: is a file; name a folder with --data-dir")
    things = _things(target)
    if not things:
        return
    if Supervisor(Folders(target)).pid:
        raise UsageError(f"{target}: a stack runs there; 'matinee down' first, or name another --data-dir")
    if not force:
        names = ", ".join(path.name for path in things[:5])
        raise UsageError(
            f"{target}: is not empty ({names}{', ...' if len(things) > 5 else ''}); name another --data-dir, or move "
            "all of it aside with --force"
        )


def _things(folder: Path) -> list[Path]:
    """What is in a folder, but for what a new disk has and what a killed restore left."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name not in {_OF_THE_DISK, _STAGING})


def _staging_of(target: Path) -> Path:
    """Beside the place, or, where the place is a disk of its own, inside: what is moved must stay on one disk."""
    return target / _STAGING if target.is_mount() else target.with_name(f"{target.name}{_STAGING}")


def _fresh_staging(target: Path) -> Path:
    staging = _staging_of(target)
    _remove(staging)
    try:
        staging.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise UsageError(f"{staging}: cannot be made ({error.strerror}); name another --data-dir") from None
    return staging


def _remove(staging: Path) -> None:
    """Remove it with the stack that a killed restore may have left running in it."""
    if staging.exists():
        with suppress(MatineeError):
            down(data_dir=staging)
        shutil.rmtree(staging)


def _fill(reader: Reader, staging: Path, progress: Progress) -> tuple[dict[str, int], int, int]:
    """Databases, objects and files of the backup in a folder whose stack is stopped again."""
    folders = Folders(staging)
    write_private(folders.state, reader.settings().decode())
    StackState.read(folders.state)  # of a newer Matinee, or damaged: say so before anything is started
    files = _files(reader, staging, progress)
    with running(staging, NEEDED, progress=progress) as stack:
        databases = dict(_databases(reader, stack, progress))
        objects = _objects(reader, stack, progress)
    down(data_dir=staging)
    shutil.rmtree(folders.run)
    return databases, objects, files


def _files(reader: Reader, staging: Path, progress: Progress) -> int:
    parts = reader.of_kind("file")
    progress.start("files", len(parts), "files")
    for part in parts:
        name = PurePosixPath(part.name)
        if name.is_absolute() or ".." in name.parts or name.parts[:1] not in {(kept,) for kept in KEPT_FOLDERS}:
            raise BackupError(f"{part.name}: a file of a backup cannot lie there; this is not one that Matinee made")
        path = staging / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with reader.open(part) as stream, path.open("xb") as out:
            shutil.copyfileobj(stream, out)
        path.chmod(int(part.about.get("mode", 0o600)) & 0o777)
        progress.advance(1)
    progress.finish()
    return len(parts)


def _databases(reader: Reader, stack: Stack, progress: Progress) -> Iterator[tuple[str, int]]:
    from matinee.stack.dump import restore_database  # noqa: PLC0415 - brings psycopg, which may not be installed
    from matinee.stack.postgres import ensure_database  # noqa: PLC0415 - as above

    progress.start("databases", None, "rows")
    for part in reader.of_kind("database"):
        ensure_database(stack.postgres_url, part.name)
        with reader.open(part) as stream:
            rows = restore_database(f"{stack.postgres_url.rpartition('/')[0]}/{part.name}", stream)
        wanted: dict[str, int] = part.about.get("rows", {})
        for table in sorted({*rows, *wanted}):
            if rows.get(table) != wanted.get(table):
                told = f"{table} has {rows.get(table)} rows, expected {wanted.get(table)}"
                raise BackupError(f"database {part.name}: {told}; run the same command again, or use another copy")
        number = sum(rows.values())
        progress.advance(number)
        yield part.name, number
    progress.finish()


def _objects(reader: Reader, stack: Stack, progress: Progress) -> int:
    """All of them, and each read back from S3."""
    from matinee.stack.objects import Objects, Stored, is_latest  # noqa: PLC0415 - brings boto3
    from matinee.stack.s3 import make_bucket  # noqa: PLC0415 - brings the HTTP client

    for part in reader.of_kind("bucket"):
        make_bucket(stack.s3, part.name)
    objects, parts = Objects(stack.s3), reader.of_kind("object")
    progress.start("objects", sum(part.size for part in parts), "bytes")
    # Oldest first, as they were copied; but what says which version counts comes after all that it may name.
    for part in sorted(parts, key=lambda part: is_latest(part.name)):
        bucket, key = _place(part)
        with reader.open(part) as stream:
            about = part.about
            stored = Stored(stream, part.size, about.get("content_type", ""), about.get("metadata", {}))
            objects.put(bucket, key, stored)
        if objects.sha256(bucket, key) != part.sha256:
            raise BackupError(f"{part.name}: read back from S3, it differs from the backup; run the same command again")
        progress.advance(part.size)
    progress.finish()
    return len(parts)


def _place(part: Part) -> tuple[str, str]:
    bucket, _, key = part.name.partition("/")
    return bucket, key


def _make_way(target: Path) -> Path:
    """Move what is there to a folder beside it, or inside where the place is a disk of its own."""
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if not target.is_mount():
        return target.rename(target.with_name(f"{target.name}.before-{moment}"))
    aside = target / f"before-{moment}"
    things = _things(target)
    aside.mkdir(mode=0o700)
    for path in things:
        path.rename(aside / path.name)
    return aside


def _move(staging: Path, target: Path) -> None:
    """Give the restored folder its name; on a disk of its own, what makes it a stack is moved last."""
    if not target.is_mount():
        staging.rename(target)  # an empty folder in its place is replaced
        return
    state = Folders(staging).state
    for path in sorted(staging.iterdir(), key=lambda path: path == state):
        path.rename(target / path.name)
    staging.rmdir()
