"""A published version's files, one by one, for whoever checks them (lineage does)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matinee.store.names import Place, read_manifest, resolve

if TYPE_CHECKING:
    from matinee.schema.manifest import Manifest
    from matinee.store.connection import Store

__all__ = ["StoredFiles"]


class StoredFiles:
    """One version in an open store; fits `matinee.lineage.VersionFiles`.

    Args:
        store: an open store.
        version: LATEST, a data set, an id or its prefix, or dataset@id.

    Raises:
        UsageError, VersionNotFoundError: see `matinee.store.names.resolve`.
    """

    def __init__(self, store: Store, version: str) -> None:
        self._store = store
        self.place: Place = resolve(version, store)

    @property
    def where(self) -> str:
        """The address of the version's folder, without credentials."""
        return self._store.show(self.place.path)

    def manifest(self) -> Manifest:
        """Its manifest; raises VersionNotFoundError or VersionDamagedError."""
        return read_manifest(self.place, self._store)[0]

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        return self._store.stat(self.place.file(path)) is not None

    def sha256(self, path: str) -> str:
        """SHA-256 of the file's bytes, read back from the store now."""
        return self._store.sha256(self.place.file(path))

    def read(self, path: str) -> bytes:
        """A small file's bytes; raises VersionNotFoundError."""
        return self._store.required(self.place.file(path), "the version has no such file")
