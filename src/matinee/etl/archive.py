"""Opening a source, whatever it is packed in: what it is, is told from its first bytes and not from its name."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from matinee.errors import SourceArchiveError, SourceError, SourceFormatError, SourceNotFoundError
from matinee.etl.archive_stream import GzipLog, LogStream, MemberLog, PlainLog
from matinee.etl.archive_zip import ArchiveLimits, Member, choose, read_directory

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ArchiveLimits", "LogStream", "Member", "list_members", "looks_like_html", "open_log"]


def open_log(path: Path, member: str = "", *, limits: ArchiveLimits | None = None) -> LogStream:
    """The log at `path` as a stream of bytes: a plain file, a gzip, or a member of a ZIP (a wheel is a ZIP).

    Nothing is unpacked to disk. Sizes and checksums inside the archive are compared at the end of the stream.

    Args:
        path: the file.
        member: path or (where it is the only one) file name inside a ZIP. Empty takes the one that looks like a log:
            `ratings.csv`, `ratings.dat`, `u.data`, `*.inter`, or else the only text file. A plain file and a gzip have
            no members, so there it must be empty.
        limits: what the archive may unpack to; None is `ArchiveLimits()`.

    Raises:
        SourceNotFoundError: no such file, or no such member.
        SourceArchiveError: damaged, hostile or ambiguous, or packed in a way that is not read.
        SourceFormatError: a plain file that is no text (a picture, a Parquet file, a web page).
        SourceError: the file cannot be read.
    """
    file, size_bytes = _open(path)
    try:
        return _stream(path, file, size_bytes, member, limits or ArchiveLimits())
    except BaseException:
        file.close()
        raise


def list_members(path: Path, *, limits: ArchiveLimits | None = None) -> list[Member]:
    """The files inside a ZIP, as `--member` takes them; empty for a plain file or a gzip.

    Raises:
        SourceNotFoundError: no such file.
        SourceArchiveError: a damaged or hostile ZIP.
    """
    file, _ = _open(path)
    with file:
        head = file.read(_HEAD_BYTES)
        return read_directory(path, file, limits or ArchiveLimits()) if _is_zip(path, head) else []


def looks_like_html(head: bytes) -> bool:
    """Whether a file that begins so is a web page."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:_HTML_BYTES].lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script"))


_HEAD_BYTES: Final = 1 << 12
_HTML_BYTES: Final = 64
_TAR_MAGIC_OFFSET: Final = 257
_GZIP: Final = b"\x1f\x8b"
_ZIPS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_ARCHIVE_SUFFIXES: Final = (".zip", ".whl", ".gz")
_OTHER_ARCHIVES: Final = {
    b"PK\x07\x08": "one part of a split ZIP",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x04\x22\x4d\x18": "an LZ4 file",
    b"\x1f\x9d": "a compress (.Z) file",
}
_OTHER_FORMATS: Final = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3\x00": "a SQLite database",
    b"%PDF-": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def _open(path: Path) -> tuple[BinaryIO, int]:
    try:
        # A pipe would block in open() until somebody writes to it; O_NONBLOCK means nothing for a regular file.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise SourceNotFoundError(f"{str(path)!r}: no such file") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be opened ({error.strerror}); check its permissions") from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise SourceNotFoundError(f"{path}: {kind}, expected a file")
    return os.fdopen(handle, "rb", buffering=0), status.st_size


def _stream(path: Path, file: BinaryIO, size_bytes: int, member: str, limits: ArchiveLimits) -> LogStream:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if _is_zip(path, head):
        return MemberLog(path, file, choose(path, read_directory(path, file, limits), member), limits)
    if member:
        raise SourceArchiveError(f"{path}: no ZIP, so it has no member {member!r}; leave --member out")
    if head.startswith(_GZIP):
        return GzipLog(path, file, size_bytes, limits)
    _check_text(path, head)
    return PlainLog(path, file, size_bytes)


def _is_zip(path: Path, head: bytes) -> bool:
    """Whether it is a ZIP; a name that promises an archive must be kept, and archives of other kinds are refused."""
    if head.startswith(_ZIPS):
        return True
    found = next((name for magic, name in _OTHER_ARCHIVES.items() if head.startswith(magic)), "")
    if head[_TAR_MAGIC_OFFSET : _TAR_MAGIC_OFFSET + 5] == b"ustar":
        found = "a tar archive"
    if found:
        raise SourceArchiveError(f"{path}: {found}; read are ZIP, gzip and plain text, so unpack it and pass the log")
    if path.suffix.lower() in _ARCHIVE_SUFFIXES and not (head.startswith(_GZIP) and path.suffix.lower() == ".gz"):
        found = "a web page" if looks_like_html(head) else f"it begins with {head[:8]!r}" if head else "it is empty"
        raise SourceArchiveError(f"{path}: not a {path.suffix[1:].lower()} archive ({found}); fetch it again")
    return False


def _check_text(path: Path, head: bytes) -> None:
    found = next((name for magic, name in _OTHER_FORMATS.items() if head.startswith(magic)), "")
    if looks_like_html(head):
        found = "a web page; take the direct link to the file"
    if found:
        raise SourceFormatError(f"{path}: {found}; expected text in UTF-8, one event a line (docs/format.md)")
