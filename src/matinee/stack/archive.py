"""The one file of a backup: a tar of numbered parts, and at its end a manifest with what each is and its SHA-256.

The names inside are numbers of ours; what a part is called in the world stands in the manifest and is checked there. So
nothing in a hostile archive can name a place on this machine. It is not compressed: what is in it mostly is already.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tarfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Self, get_args

from matinee.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from matinee.schema.progress import Progress

__all__ = ["Kind", "Part", "Reader", "Writer"]

Kind = Literal["settings", "database", "bucket", "object", "file"]

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_LONGEST_MANIFEST_BYTES: Final = 1 << 30
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One thing in a backup.

    Attributes:
        member: its name in the tar, a number.
        kind: what it is.
        name: what it is called in the world; for an object it begins with its bucket.
        size: in bytes.
        sha256: of its bytes, lower-case hexadecimal.
        about: what else has to be known to bring it back.
    """

    member: str
    kind: Kind
    name: str
    size: int
    sha256: str
    about: dict[str, Any] = field(default_factory=dict)


class Writer:
    """Writes a backup: parts first, then, where no error leaves the `with` block, the manifest and the file's name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{secrets.token_hex(3)}.partial")
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        """Begin the file beside its place; it holds credentials, so only its owner reads it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish it, or leave nothing behind."""
        try:
            if error is None:
                self._finish()
        finally:
            self._file.close()
            self._partial.unlink(missing_ok=True)

    def add(self, kind: Kind, name: str, stream: IO[bytes], size: int, **about: Any) -> Part:
        """Add `size` bytes of a stream."""
        reader = _Hashing(stream)
        member = f"{len(self._parts):08d}"
        self._add(member, reader, size)
        self._parts.append(Part(member, kind, name, size, reader.digest.hexdigest(), about))
        return self._parts[-1]

    def _add(self, member: str, stream: Any, size: int) -> None:
        info = tarfile.TarInfo(member)
        info.size, info.mode, info.mtime = size, 0o600, int(time.time())
        self._tar.addfile(info, stream)

    def _finish(self) -> None:
        manifest = {
            "format": _FORMAT,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "matinee": version("matinee"),
            "parts": [asdict(part) for part in self._parts],
        }
        text = json.dumps(manifest).encode()
        self._add(_MANIFEST, BytesIO(text), len(text))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        try:
            os.link(self._partial, self._path)  # unlike a rename it never replaces a backup that came there meanwhile
        except FileExistsError:
            raise BackupError(f"{self._path}: is there already; name another file") from None
        except OSError:
            self._partial.replace(self._path)  # a file system without links


class Reader:
    """Reads a backup. Nothing of it is unpacked by name, and nothing is believed before `verify`.

    Raises:
        BackupError: it is not a backup, was broken off, or is of a newer Matinee.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed in __exit__
        except (OSError, tarfile.TarError) as error:
            raise BackupError(f"{path}: is not a backup, or was broken off ({error})") from None
        try:
            self._members = {info.name: info for info in self._tar}
            plain = json.loads(self._manifest())
            self._check_format(plain["format"])
            self.made = str(plain["made"])
            self.parts = tuple(_part(part) for part in plain["parts"])
        except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
            self._tar.close()
            raise BackupError(f"{path}: is not a backup of Matinee, or was broken off ({error!r})") from None
        except BackupError:
            self._tar.close()
            raise

    def __enter__(self) -> Self:
        """The same."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._tar.close()

    def of_kind(self, kind: Kind) -> tuple[Part, ...]:
        """The parts of one kind, in the order in which they were added."""
        return tuple(part for part in self.parts if part.kind == kind)

    def settings(self) -> bytes:
        """The stack's ports and credentials."""
        parts = self.of_kind("settings")
        if len(parts) != 1:
            raise BackupError(f"{self._path}: has {len(parts)} times settings, expected once; use another copy")
        with self.open(parts[0]) as stream:
            return stream.read()

    def open(self, part: Part) -> IO[bytes]:
        """A part's bytes, as a stream that can seek."""
        info = self._members.get(part.member)
        stream = None if info is None or not info.isreg() else self._tar.extractfile(info)
        if info is None or stream is None or info.size != part.size:
            raise BackupError(f"{self._path}: {part.kind} {part.name} is missing or has another size; use another copy")
        return stream

    def verify(self, progress: Progress) -> None:
        """Read every byte and compare it with the manifest.

        Raises:
            BackupError: a part is missing or differs.
        """
        progress.start("check the backup", sum(part.size for part in self.parts), "bytes")
        for part in self.parts:
            digest = hashlib.sha256()
            with self.open(part) as stream:
                for piece in _pieces(stream):
                    digest.update(piece)
                    progress.advance(len(piece))
            if digest.hexdigest() != part.sha256:
                raise BackupError(
                    f"{self._path}: {part.kind} {part.name} has SHA-256 {digest.hexdigest()[:12]}..., expected "
                    f"{part.sha256[:12]}...; use another copy"
                )
        progress.finish(f"{len(self.parts)} parts")

    def _check_format(self, number: int) -> None:
        if number > _FORMAT:
            raise BackupError(f"{self._path}: format {number}, this Matinee knows up to {_FORMAT}; upgrade it")

    def _manifest(self) -> bytes:
        info = self._members.get(_MANIFEST)
        stream = None if info is None or not info.isreg() else self._tar.extractfile(info)
        if info is None or stream is None or info.size > _LONGEST_MANIFEST_BYTES:
            raise BackupError(f"{self._path}: has no {_MANIFEST}: it is not a backup, or was broken off")
        return stream.read()


class _Hashing:
    """A stream that is hashed while it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next bytes, as many as asked for unless it ends."""
        pieces, missing = [], size
        while missing and (piece := self._stream.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        found = b"".join(pieces)
        self.digest.update(found)
        return found


def _part(plain: dict[str, Any]) -> Part:
    part = Part(**plain)
    texts = (part.member, part.kind, part.name, part.sha256)
    if not all(isinstance(text, str) for text in texts) or part.kind not in get_args(Kind):
        raise ValueError(f"part {part.member}")
    if not isinstance(part.size, int) or not isinstance(part.about, dict):
        raise TypeError(f"part {part.member}")
    return part


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE_BYTES):
        yield piece
