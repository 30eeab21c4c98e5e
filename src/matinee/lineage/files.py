"""How a version's files are reached, wherever they lie, and what is wrong with them, each by name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from matinee.errors import LineageError, VersionError
from matinee.schema.certificate import Certificate
from matinee.schema.layout import CERTIFICATE, MANIFEST, RAW
from matinee.schema.manifest import FileEntry, Manifest, version_id
from matinee.schema.progress import Progress, Silent
from matinee.schema.transform_settings import TransformSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "Finding",
    "FolderFiles",
    "LocalFiles",
    "State",
    "VersionFiles",
    "check_contents",
    "check_files",
    "is_consistent",
]

State = Literal["ok", "missing", "changed", "unrecorded"]


class FolderFiles(Protocol):
    """Files of one folder, on this machine or in a store; paths are relative to it, with '/'."""

    def exists(self, path: str) -> bool:
        """Whether the file is there."""

    def sha256(self, path: str) -> str:
        """SHA-256 of the file's bytes as they are now, in lower-case hex."""

    def read(self, path: str) -> bytes:
        """A small file's bytes."""


class VersionFiles(FolderFiles, Protocol):
    """One complete version."""

    @property
    def where(self) -> str:
        """The address of the version's folder: a path, URL or remote:path."""

    def manifest(self) -> Manifest:
        """Its manifest; raises VersionNotFoundError or VersionDamagedError."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was recorded.

    Attributes:
        path: the file, or the place where there is no single file.
        state: 'missing' or 'changed'.
        expected, found: SHA-256 or id; empty where something is missing.
        detail: what was compared.
    """

    path: str
    state: State
    expected: str
    found: str
    detail: str

    def __str__(self) -> str:
        """One line."""
        if self.state == "missing":
            return f"{self.path} is missing ({self.detail}), expected {self.expected}"
        return f"{self.path} has {self.found}, expected {self.expected} ({self.detail})"


class LocalFiles:
    """A version in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    def manifest(self) -> Manifest:
        """Its manifest; raises VersionNotFoundError or VersionDamagedError."""
        return Manifest.read(self._folder)

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self._folder / path).is_file()

    def sha256(self, path: str) -> str:
        """SHA-256 of the file's bytes as they are now.

        Raises:
            LineageError: the file cannot be read.
        """
        try:
            with (self._folder / path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(self._folder / path, error) from None

    def read(self, path: str) -> bytes:
        """A small file's bytes.

        Raises:
            LineageError: the file cannot be read.
        """
        try:
            return (self._folder / path).read_bytes()
        except OSError as error:
            raise _unreadable(self._folder / path, error) from None


def check_files(files: VersionFiles, manifest: Manifest, progress: Progress | None = None) -> tuple[Finding, ...]:
    """Everything in which the files differ from their manifest, and the manifest from itself; reads every byte."""
    listener = progress or Silent()
    listener.start("check", manifest.size, "bytes")
    findings = [*_check_id(files, manifest), *_check_archive(manifest)]
    for entry in manifest.files:
        findings.extend(_check_file(files, entry))
        listener.advance(entry.size)
    if not any(finding.path == CERTIFICATE for finding in findings):
        findings.extend(_check_certificate(files, manifest))
    listener.finish(f"{len(manifest.files)} files, {len(findings)} findings")
    return tuple(findings)


def check_contents(files: FolderFiles, contents: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """What is missing or changed of files that no manifest lists, each with its recorded SHA-256."""
    for path, expected in contents:
        if not files.exists(path):
            yield Finding(path, "missing", expected, "", "recorded when it was made")
            continue
        found = files.sha256(path)
        if found != expected:
            yield Finding(path, "changed", expected, found, "SHA-256 of its bytes, against the events")


def is_consistent(manifest: Manifest) -> bool:
    """Whether the manifest's id follows from its source, its settings and its base."""
    try:
        settings = TransformSettings.from_json(manifest.settings, MANIFEST)
    except VersionError:
        return False
    return manifest.id == version_id(manifest.source.sha256, settings, manifest.base)


def _check_id(files: VersionFiles, manifest: Manifest) -> Iterator[Finding]:
    try:
        settings = TransformSettings.from_json(manifest.settings, f"{files.where}/{MANIFEST}")
    except VersionError as error:
        yield Finding(MANIFEST, "changed", "the settings of a transform", "something else", str(error))
        return
    expected = version_id(manifest.source.sha256, settings, manifest.base)
    if expected != manifest.id:
        detail = "version id, against the one that follows from source, settings and base"
        yield Finding(MANIFEST, "changed", expected, manifest.id, detail)
    if settings.name != manifest.name:
        yield Finding(MANIFEST, "changed", settings.name, manifest.name, "name, against that in the settings")


def _check_archive(manifest: Manifest) -> Iterator[Finding]:
    path = f"{RAW}/{manifest.source.archive}"
    for entry in manifest.files:
        if entry.path == path and entry.sha256 != manifest.source.sha256:
            detail = f"the manifest's SHA-256 of {path}, against its source's"
            yield Finding(MANIFEST, "changed", manifest.source.sha256, entry.sha256, detail)


def _check_file(files: VersionFiles, entry: FileEntry) -> Iterator[Finding]:
    if not files.exists(entry.path):
        yield Finding(entry.path, "missing", entry.sha256, "", "listed in the manifest")
        return
    found = files.sha256(entry.path)
    if found != entry.sha256:
        yield Finding(entry.path, "changed", entry.sha256, found, "SHA-256 of its bytes, against the manifest")


def _check_certificate(files: VersionFiles, manifest: Manifest) -> Iterator[Finding]:
    if not files.exists(CERTIFICATE):
        yield Finding(CERTIFICATE, "missing", f"the certificate of {manifest.id}", "", "every version has one")
        return
    try:
        certificate = Certificate.from_json(files.read(CERTIFICATE), CERTIFICATE)
    except VersionError as error:
        yield Finding(CERTIFICATE, "changed", f"the certificate of {manifest.id}", "something else", str(error))
        return
    if certificate.version != manifest.id:
        yield Finding(CERTIFICATE, "changed", manifest.id, certificate.version, "the version that it speaks of")


def _unreadable(path: Path, error: OSError) -> LineageError:
    return LineageError(f"{path}: cannot be read ({error.strerror}); check its permissions and its disk")
