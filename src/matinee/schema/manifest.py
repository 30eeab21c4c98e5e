"""The manifest: what a version is made of, and the id that follows from where it came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from matinee.errors import VersionDamagedError, VersionNotFoundError
from matinee.schema.layout import MANIFEST
from matinee.schema.transform_settings import FORMAT, TransformSettings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BaseEntry", "FileEntry", "IdMapEntry", "Manifest", "SourceEntry", "version_id"]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version.

    Attributes:
        path: relative to the version's folder, with '/'.
        size: bytes.
        sha256: lower-case hex.
        rows: events, ids or rejects in it; None where rows make no sense.
    """

    path: str
    size: int
    sha256: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """The archive or file a version came from.

    Attributes:
        name: catalogue name or file name.
        archive: file name of the bytes as fetched.
        size: their number.
        sha256: their SHA-256.
        origin: the address they came from, without credentials; the file name for a local file.
        member: the archive member that was read; empty for a plain file.
    """

    name: str
    archive: str
    size: int
    sha256: str
    origin: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class IdMapEntry:
    """One id map: how many ids, of which kind ('integer' or 'string'), and its content hash (docs/format.md)."""

    count: int
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True)
class BaseEntry:
    """What a version goes on from: an earlier version, and how far the log of told events is in it behind that.

    Attributes:
        version, manifest_sha256: the earlier version.
        past: the last of its splits whose events are in this version.
        users, items: how many ids its id maps have; they are the first ones of this version's.
        log: the name of the log of told events, the data set's or `<data set>/<rehearsal>`.
        teller, number: of the last event of that log in this version; no other event has these two.
    """

    version: str
    manifest_sha256: str
    past: str
    users: int
    items: int
    log: str
    teller: str
    number: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything needed to know, find and check a version; written last, the same for the same version.

    `base` is None for a version that begins with its source.
    """

    id: str
    name: str
    format: int
    source: SourceEntry
    settings: dict[str, Any]
    users: IdMapEntry
    items: IdMapEntry
    files: tuple[FileEntry, ...]
    base: BaseEntry | None = None

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def file(self, path: str) -> FileEntry:
        """The entry of one file.

        Raises:
            VersionNotFoundError: the version has no such file.
        """
        for entry in self.files:
            if entry.path == path:
                return entry
        raise VersionNotFoundError(f"version {self.id} has no file {path!r}; it has {len(self.files)} others")

    def to_json(self) -> str:
        """Readable JSON, the same bytes for the same manifest; without a base there is no such word in it."""
        plain = asdict(self)
        if self.base is None:
            del plain["base"]
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """Read a manifest back; `where` names it in errors.

        Raises:
            VersionDamagedError: this is not a manifest, or one of a format this Matinee does not know.
        """
        try:
            plain = json.loads(text)
            found = plain["format"]
            if found != FORMAT:
                raise VersionDamagedError(
                    f"{where}: format {found}, expected {FORMAT}; use the Matinee that wrote it, or transform again"
                )
            return cls(
                id=plain["id"],
                name=plain["name"],
                format=found,
                source=SourceEntry(**plain["source"]),
                settings=plain["settings"],
                users=IdMapEntry(**plain["users"]),
                items=IdMapEntry(**plain["items"]),
                files=tuple(FileEntry(**entry) for entry in plain["files"]),
                base=BaseEntry(**plain["base"]) if "base" in plain else None,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise VersionDamagedError(f"{where}: not a manifest ({error!r}); transform again") from None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest of the version in `folder`.

        Raises:
            VersionNotFoundError: there is none; a folder without manifest is not a (complete) version.
            VersionDamagedError: see `from_json`.
        """
        path = folder / MANIFEST
        try:
            text = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise VersionNotFoundError(f"{folder}: no {MANIFEST}, so no complete version; transform again") from None
        return cls.from_json(text, str(path))


def version_id(source_sha256: str, settings: TransformSettings, base: BaseEntry | None = None) -> str:
    """16 hex digits that follow from the source's bytes, the settings, the format's number, and the base if any."""
    identity: dict[str, object] = {"format": FORMAT, "source": source_sha256, "settings": settings.as_json()}
    if base is not None:
        identity["base"] = asdict(base)
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
