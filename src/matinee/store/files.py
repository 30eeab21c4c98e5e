"""Files in a store, one by one, for whoever checks them (lineage does): a published version's, or those of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from matinee.store.names import Place, read_manifest, resolve

if TYPE_CHECKING:
    from matinee.schema.manifest import Manifest
    from matinee.store.connection import Store

__all__ = ["StoredFiles", "StoredFolder"]


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


class StoredFolder:
    """One folder in an open store; fits `matinee.lineage.FolderFiles`.

    Args:
        store: an open store.
        path: of the folder, inside the store.
    """

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._path = store, path

    @classmethod
    def at(cls, store: Store, location: str) -> Self | None:
        """The folder that `store.show` calls `location`; None where that is not in this store."""
        root = store.show().rstrip("/")
        return cls(store, location.removeprefix(f"{root}/")) if location.startswith(f"{root}/") else None

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        return self._store.stat(f"{self._path}/{path}") is not None

    def sha256(self, path: str) -> str:
        """SHA-256 of the file's bytes, read back from the store now."""
        return self._store.sha256(f"{self._path}/{path}")

    def read(self, path: str) -> bytes:
        """A small file's bytes; raises VersionNotFoundError."""
        return self._store.required(f"{self._path}/{path}", "it was there a moment ago")
