"""Copy a version from a store to a folder: fetched beside, each file verified, shown when all of it is right."""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from matinee.errors import DiskFullError, StoreError, VersionConflictError, VersionDamagedError
from matinee.schema.layout import MANIFEST, RUN
from matinee.schema.progress import Progress, Silent
from matinee.store.failures import failure
from matinee.store.names import Place, read_manifest, resolve
from matinee.store.parallel import on_each
from matinee.store.records import Pulled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matinee.schema.manifest import FileEntry, Manifest
    from matinee.store.connection import Store

__all__ = ["pull"]


def pull(version: str, out: Path, store: Store, *, progress: Progress | None = None) -> Pulled:
    """Copy a version to the folder `out`, every file compared with its SHA-256 in the manifest.

    Promises: `out` appears at once and whole. Until then the files lie in `OUT.partial-ID` beside it; a pull that is
    broken off goes on from there and fetches again only what is missing or different.

    Args:
        version: LATEST, a data set, an id or its prefix, or dataset@id.
        out: must not exist, or be empty, or hold this very version (which is verified, and nothing written).
        store: where from.
        progress: told of the bytes fetched.

    Raises:
        UsageError, VersionNotFoundError: see `matinee.store.names.resolve`.
        VersionConflictError: `out` holds something else.
        VersionDamagedError: the store's bytes are not those of the manifest, or it names paths outside the version.
        DiskFullError, StoreError: no space, or the store does not answer, or says no.
    """
    listener = progress or Silent()
    out = out.expanduser().absolute()
    place = resolve(version, store)
    manifest, content = read_manifest(place, store)
    if _is_taken(out, manifest, content, listener):
        return _pulled(place, out, manifest, [], unchanged=True)
    partial = out.with_name(f"{out.name}.partial-{place.id}")
    try:
        with _own_folder(partial):
            fetched = _Puller(place, partial, manifest, store).fetch_all(listener)
            _write_rest(partial, place, content, store)
            _remove_foreign(partial, manifest)
            partial.rename(out)  # also onto an empty folder
    except OSError as error:
        raise failure(error.strerror or str(error), str(error.filename or partial), "pulling") from None
    return _pulled(place, out, manifest, fetched, unchanged=False)


class _Puller:
    """One version on its way from a store into a folder that nobody looks at yet."""

    def __init__(self, place: Place, partial: Path, manifest: Manifest, store: Store) -> None:
        self.place = place
        self.partial = partial
        self.manifest = manifest
        self.store = store

    def fetch_all(self, progress: Progress) -> list[FileEntry]:
        """Fetch what is not there yet; what had to be fetched."""
        missing = [entry for entry in self.manifest.files if not _is_right(self.partial / entry.path, entry)]
        missing.sort(key=lambda entry: entry.size, reverse=True)
        progress.start("fetch", sum(entry.size for entry in missing), "bytes")
        try:
            on_each(missing, self._fetch, self.store, progress)
        except DiskFullError as error:
            raise DiskFullError(f"{self.partial}: {error}") from None
        progress.finish(f"{len(missing)} of {len(self.manifest.files)} files fetched and verified")
        return missing

    def _fetch(self, entry: FileEntry) -> None:
        target = self.partial / entry.path
        path = self.place.file(entry.path)
        try:
            self.store.fetch(path, self.partial, entry.path)
        except StoreError as error:
            if self.store.stat(path) is None:
                raise VersionDamagedError(
                    f"{self.store.show(path)}: is missing, expected {entry.size} bytes; 'matinee versions verify' "
                    "tells all that is wrong"
                ) from None
            raise error from None
        if not _is_right(target, entry):
            found = _sha256(target)
            target.unlink()
            raise VersionDamagedError(
                f"{self.store.show(path)}: has SHA-256 {found}, expected {entry.sha256}; 'matinee versions verify' "
                "tells all that is wrong"
            )


def _is_taken(out: Path, manifest: Manifest, content: bytes, progress: Progress) -> bool:
    """Whether `out` holds this very version, every byte right; False where it is free.

    Raises:
        VersionConflictError: it holds something else.
    """
    if not os.path.lexists(out) or (out.is_dir() and not out.is_symlink() and not any(out.iterdir())):
        return False
    held = out / MANIFEST
    if not held.is_file() or held.read_bytes() != content:
        raise VersionConflictError(f"{out}: is there already and is not {manifest.id}; choose another folder")
    progress.start("verify", manifest.size, "bytes")
    for entry in manifest.files:
        if not _is_right(out / entry.path, entry):
            raise VersionConflictError(
                f"{out}: holds {manifest.id}, but {entry.path} is not as its manifest says; move the folder away and "
                "pull again"
            )
        progress.advance(entry.size)
    progress.finish(f"{len(manifest.files)} files are there and right")
    return True


@contextmanager
def _own_folder(folder: Path) -> Iterator[None]:
    """Make a folder and keep other pulls of the same version to the same place out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise VersionConflictError(
            f"{folder}: another pull is at work there; wait for it, or choose another folder"
        ) from None
    finally:
        os.close(handle)


def _is_right(path: Path, entry: FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and _sha256(path) == entry.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_rest(partial: Path, place: Place, content: bytes, store: Store) -> None:
    """run.json, if the store has one, and the manifest last, as everywhere."""
    run = store.read(place.file(RUN))
    if run is not None:
        (partial / RUN).write_bytes(run)
    (partial / MANIFEST).write_bytes(content)


def _remove_foreign(partial: Path, manifest: Manifest) -> None:
    """Remove what an earlier, broken-off pull may have left: rclone's unfinished files."""
    own = {MANIFEST, RUN, *(entry.path for entry in manifest.files)}
    for path in partial.rglob("*"):
        if not path.is_dir() and str(path.relative_to(partial)) not in own:
            path.unlink()


def _pulled(place: Place, out: Path, manifest: Manifest, fetched: list[FileEntry], *, unchanged: bool) -> Pulled:
    return Pulled(
        id=place.id,
        dataset=place.dataset,
        folder=out,
        files=len(manifest.files),
        size_bytes=manifest.size,
        fetched_files=len(fetched),
        fetched_bytes=sum(entry.size for entry in fetched),
        unchanged=unchanged,
    )
