"""The file of an expansion: CSV or ZIP, written beside its place, with a note on how it was made."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import zipfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, Protocol

from isal import isal_zlib

from matinee.errors import DiskFullError, UsageError
from matinee.etl.download import write_json
from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "LogFile",
    "Packed",
    "is_zip",
    "new_file",
    "open_log_file",
    "pack",
    "packed_share",
    "read_note",
    "telling_of_a_full_disk",
]

NOTE: Final = "synth.json"  # inside a ZIP; beside a CSV it is FILE.csv.json
_LOG: Final = "ratings.csv"
_LEVEL: Final = 1  # of igzip; 0 packs a fifth less in four fifths of the time
_LAST_BLOCK: Final = b"\x03\x00"  # an empty deflate block that says it is the last one
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever they are written
_RAW_DEFLATE: Final = -15


class Packed(NamedTuple):
    """A piece of text, and the same as part of a deflate stream; `crc32` is the text's."""

    text: memoryview
    deflated: bytes
    crc32: int


class LogFile(Protocol):
    """What takes an expansion's text, piece by piece in order."""

    zipped: bool

    def write(self, piece: Packed) -> None:
        """Append a piece."""

    def close(self, note: Mapping[str, Any]) -> None:
        """Write the rest, and the note; `log_bytes` and `log_sha256` are put into it."""


def is_zip(out: Path) -> bool:
    """Whether the file is to be a ZIP, by its name.

    Raises:
        UsageError: the name ends in neither .zip nor .csv.
    """
    if out.suffix.lower() not in {".zip", ".csv"}:
        raise UsageError(f"--out {out}: ends in {out.suffix or 'nothing'!r}, expected .zip or .csv")
    return out.suffix.lower() == ".zip"


def pack(text: memoryview, *, zipped: bool) -> Packed:
    """Deflate a piece by itself, so that pieces can be packed side by side and put in a row."""
    if not zipped:
        return Packed(text, b"", 0)
    packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    deflated = packer.compress(text) + packer.flush(isal_zlib.Z_FULL_FLUSH)
    return Packed(text, deflated, isal_zlib.crc32(text))


def packed_share(text: memoryview) -> float:
    """How much of a text is left when it is packed."""
    return len(pack(text, zipped=True).deflated) / len(text)


def read_note(out: Path) -> dict[str, Any] | None:
    """How the file was made; None where it does not tell, or is not the file that its note is about."""
    try:
        if out.suffix.lower() == ".zip":
            with zipfile.ZipFile(out) as archive:
                note: dict[str, Any] = json.loads(archive.read(NOTE))
            return note
        note = json.loads(_beside(out).read_bytes())
        return note if note["log_bytes"] == out.stat().st_size else None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


@contextmanager
def new_file(out: Path, needed_bytes: int) -> Iterator[BinaryIO]:
    """A file that becomes `out` when the block ends well, and vanishes when it does not.

    What a killed run left is overwritten: its name is the same, and a lock tells whether somebody works there.

    Raises:
        DiskFullError: there is less room than needed, or it ran out.
        UsageError: the folder cannot be written to, or another process makes this very file.
    """
    partial = out.parent / f".{out.name}.partial"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(partial)
    except BlockingIOError:
        raise UsageError(f"--out {out}: another process is writing it; wait for that, or choose another") from None
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}); choose another place") from None
    with file:
        try:
            with telling_of_a_full_disk(out.parent, needed_bytes):
                file.truncate()
                _check_room(out.parent, needed_bytes)
                yield file
                # Gigabytes that can be made again are not forced to the disk: a power cut may leave a short file under
                # a good name, which read_note sees.
                partial.replace(out)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


@contextmanager
def telling_of_a_full_disk(folder: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Say in a user's words that the disk is full.

    Raises:
        DiskFullError: it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        needed = f"some {show_size(needed_bytes)} are needed" if needed_bytes else "more is needed"
        raise DiskFullError(f"{folder}: no space left, {needed}; make room and run again") from None


def open_log_file(file: BinaryIO, out: Path, header: bytes) -> LogFile:
    """What writes to `file`, in the way that the name of `out` says."""
    made: LogFile = _ZipLog(file, out) if is_zip(out) else _CsvLog(file, out)
    made.write(pack(memoryview(header), zipped=made.zipped))
    return made


def _locked(partial: Path) -> BinaryIO:
    """The file of that name, opened and locked; BlockingIOError where another process has it."""
    while True:
        file = os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the two calls another process may have finished, and the file may have got its final name.
            if os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _check_room(folder: Path, needed_bytes: int) -> None:
    status = os.statvfs(folder)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < needed_bytes:
        raise DiskFullError(
            f"{folder}: no space left for it, {show_size(free_bytes)} are free and some {show_size(needed_bytes)} are "
            "needed; make room, choose another --out, or fewer --rows"
        )


class _Text:
    """Size and SHA-256 of what was written."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    def add(self, text: memoryview) -> None:
        self.size_bytes += len(text)
        self._hash.update(text)

    def facts(self) -> dict[str, Any]:
        return {"log_bytes": self.size_bytes, "log_sha256": self._hash.hexdigest()}


class _CsvLog:
    """Plain text, with the note beside it."""

    zipped = False

    def __init__(self, file: BinaryIO, out: Path) -> None:
        self._file, self._out, self._text = file, out, _Text()

    def write(self, piece: Packed) -> None:
        self._text.add(piece.text)
        rest = piece.text
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self, note: Mapping[str, Any]) -> None:
        # Before the file has its name: killed in between, there is a note without a file, which misleads nobody.
        write_json(_beside(self._out), {**note, **self._text.facts()})


class _ZipLog:
    """A ZIP with the log, deflated elsewhere, and the note."""

    zipped = True

    def __init__(self, file: BinaryIO, out: Path) -> None:
        self._file, self._text, self._crc32 = file, _Text(), 0
        self._archive = zipfile.ZipFile(file, "w")
        self._info = _member(f"{out.stem}/{_LOG}")
        self._member = self._archive.open(self._info, "w", force_zip64=True)

    def write(self, piece: Packed) -> None:
        self._text.add(piece.text)
        self._crc32 = isal_zlib.crc32_combine(self._crc32, piece.crc32, len(piece.text))
        self._member.write(piece.deflated)

    def close(self, note: Mapping[str, Any]) -> None:
        self._member.write(_LAST_BLOCK)
        self._member.close()
        # For zipfile these were bytes to be stored; the directory, and the header in front of them, say what they are.
        info = self._info
        info.compress_type, info.file_size, info.CRC = zipfile.ZIP_DEFLATED, self._text.size_bytes, self._crc32
        self._archive.writestr(_member(NOTE), json.dumps({**note, **self._text.facts()}, indent=1))
        self._archive.close()
        self._file.seek(info.header_offset)
        self._file.write(info.FileHeader(zip64=True))


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _MOMENT)
    info.external_attr = 0o644 << 16
    return info


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.name}.json")
