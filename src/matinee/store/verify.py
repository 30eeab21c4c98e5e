"""Read a published version back, every byte of it, and name each file that is not as its manifest says."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from matinee.errors import VersionDamagedError
from matinee.schema.layout import MANIFEST, RUN
from matinee.schema.progress import Progress, Silent
from matinee.store.names import read_manifest, resolve
from matinee.store.parallel import on_each
from matinee.store.records import Verified

if TYPE_CHECKING:
    from matinee.schema.manifest import FileEntry, Manifest
    from matinee.store.connection import Store
    from matinee.store.names import Place

__all__ = ["check_sizes", "verify"]

_NAMED: Final = 5  # files in an error message


def verify(version: str, store: Store, *, progress: Progress | None = None) -> Verified:
    """Compare size and SHA-256 of every file of a version, as the store gives its bytes now, with the manifest.

    Raises:
        UsageError, VersionNotFoundError: see `matinee.store.names.resolve`.
        VersionDamagedError: names missing, changed and extra files, the first few of many.
        StoreError: the store does not answer, or says no.
    """
    listener = progress or Silent()
    place = resolve(version, store)
    manifest, content = read_manifest(place, store)
    wrong, sound = _compare_listing(place, manifest, store)
    listener.start("read back", sum(entry.size for entry in sound), "bytes")
    found = on_each([place.file(entry.path) for entry in sound], store.sha256, store, listener)
    wrong += [
        f"{entry.path} has SHA-256 {sha256}, expected {entry.sha256}"
        for entry, sha256 in zip(sound, found, strict=True)
        if sha256 != entry.sha256
    ]
    listener.finish(f"{len(sound)} files, {len(wrong)} findings")
    _raise_if(wrong, place, store)
    return Verified(
        id=place.id,
        dataset=place.dataset,
        location=store.show(place.path),
        manifest_sha256=hashlib.sha256(content).hexdigest(),
        files=len(manifest.files),
        size_bytes=manifest.size,
    )


def check_sizes(place: Place, store: Store) -> Manifest:
    """A version's manifest, its files all there with the right sizes; no byte of them is read.

    Raises:
        VersionNotFoundError: there is no manifest, so no complete version.
        VersionDamagedError: a file is missing or has another size.
    """
    manifest, _ = read_manifest(place, store)
    wrong, _ = _compare_listing(place, manifest, store, with_extra=False)
    _raise_if(wrong, place, store)
    return manifest


def _compare_listing(
    place: Place, manifest: Manifest, store: Store, *, with_extra: bool = True
) -> tuple[list[str], list[FileEntry]]:
    """What the listing alone shows to be wrong, and the entries that must be read to know."""
    there = store.files(place.path)
    wrong: list[str] = []
    sound: list[FileEntry] = []
    for entry in manifest.files:
        found = there.pop(entry.path, None)
        if found is None or found.size != entry.size:
            found = store.stat(place.file(entry.path))  # a listing may lag behind what the store has
        if found is None:
            wrong.append(f"{entry.path} is missing, expected {entry.size} bytes")
        elif found.size != entry.size:
            wrong.append(f"{entry.path} has {found.size} bytes, expected {entry.size}")
        else:
            sound.append(entry)
    if with_extra:
        wrong += [f"{path} is there, but not in the manifest" for path in sorted(there) if path not in {MANIFEST, RUN}]
    return wrong, sound


def _raise_if(wrong: list[str], place: Place, store: Store) -> None:
    if wrong:
        rest = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise VersionDamagedError(
            f"{store.show(place.path)}: {'; '.join(wrong[:_NAMED])}{rest}; publish it again with --recheck to mend it, "
            "or 'matinee versions rollback' to another version"
        )
