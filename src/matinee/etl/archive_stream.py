"""A log's bytes in order, from a plain file, a gzip or a ZIP member, unpacked on the way and checked at the end.

Unpacking is igzip's (the `isal` package): three times as fast as `zipfile`, and it lets other threads run meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from isal import igzip_lib, isal_zlib

from matinee.errors import SourceArchiveError, SourceError
from matinee.etl.archive_zip import data_offset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from matinee.etl.archive_zip import ArchiveLimits, Member

__all__ = ["GzipLog", "LogStream", "MemberLog", "PlainLog"]

# Measured best: what is packed and unpacked in one step stays in the processor's cache.
_PACKED_CHUNK_BYTES: Final = 1 << 18
_CHUNK_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"
_STORED: Final = 0
_DEFLATED: Final = 8
_TAR_MAGIC_OFFSET: Final = 257


class LogStream(ABC):
    """A log's bytes from first to last; a context manager that closes the file.

    Attributes:
        name: the member's path inside the archive, else the file's name.
        size_bytes: of the log itself; None where only reading tells (gzip).
        total_bytes: what `position_bytes` grows to: bytes of the file, or of the member as packed.
        position_bytes: of these, how many have been taken so far.
    """

    def __init__(self, path: Path, file: BinaryIO, name: str, size_bytes: int | None, total_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.total_bytes = total_bytes
        self.position_bytes = 0
        self._path = path
        self._file = file

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` from its start; returns the number of bytes, less than it holds only at the end, then 0.

        Raises:
            SourceArchiveError: damaged, cut short, or a bomb. Sums are checked when the last byte has been read, so
                the log is known to be whole once this has returned 0.
            SourceError: the file cannot be read.
        """
        view = memoryview(buffer)
        filled = 0
        try:
            while filled < len(view) and (got := self._read(view[filled:])):
                filled += got
        except OSError as error:
            raise SourceError(f"{self._path}: cannot be read ({error.strerror or error}); check the disk") from None
        return filled

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _read(self, view: memoryview) -> int:
        """Read at least one byte into `view`, unless the log is at its end."""


class PlainLog(LogStream):
    """A log that is a file."""

    def __init__(self, path: Path, file: BinaryIO, size_bytes: int) -> None:
        super().__init__(path, file, path.name, size_bytes, size_bytes)

    def _read(self, view: memoryview) -> int:
        got: int = self._file.readinto(view)  # type: ignore[attr-defined]  # typeshed's BinaryIO lacks it
        self.position_bytes += got
        return got


class _UnpackedLog(LogStream):
    """A log that arrives in chunks, each at most _CHUNK_BYTES."""

    _pending: memoryview = memoryview(b"")
    _chunks: Iterator[bytes]

    def _read(self, view: memoryview) -> int:
        while not self._pending:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._pending = memoryview(chunk)
        got = min(len(view), len(self._pending))
        view[:got] = self._pending[:got]
        self._pending = self._pending[got:]
        return got

    def _take(self, limit_bytes: int) -> bytes:
        chunk = self._file.read(min(_PACKED_CHUNK_BYTES, limit_bytes))
        self.position_bytes += len(chunk)
        return chunk

    def _damaged(self, what: str) -> SourceArchiveError:
        return SourceArchiveError(f"{self._path}: {self.name!r} is damaged, {what}; fetch it again")

    def _check(self, unpacked_bytes: int, limits: ArchiveLimits) -> None:
        if broken := limits.broken_by(unpacked_bytes, self.position_bytes):
            raise SourceArchiveError(f"{self._path}: refused, {self.name!r} {broken}")


class MemberLog(_UnpackedLog):
    """A log inside a ZIP, stored or deflated."""

    def __init__(self, path: Path, file: BinaryIO, member: Member, limits: ArchiveLimits) -> None:
        super().__init__(path, file, member.name, member.size_bytes, member.packed_bytes)
        if member.method not in {_STORED, _DEFLATED}:
            raise SourceArchiveError(
                f"{path}: {member.name!r} is packed with method {member.method}, expected stored (0) or deflated (8); "
                f"unpack it, and pass the log itself"
            )
        if broken := limits.broken_by(member.size_bytes, member.packed_bytes):
            raise SourceArchiveError(f"{path}: refused, {member.name!r} {broken}")
        file.seek(data_offset(path, file, member))
        self._chunks = self._verified(member, limits)

    def _verified(self, member: Member, limits: ArchiveLimits) -> Iterator[bytes]:
        size_bytes = crc32 = 0
        for chunk in self._inflated(member) if member.method == _DEFLATED else self._stored(member):
            size_bytes += len(chunk)
            self._check(size_bytes, limits)
            if size_bytes > member.size_bytes:
                raise self._damaged(f"it has more than the {member.size_bytes:,} bytes that the archive declares")
            crc32 = isal_zlib.crc32(chunk, crc32)
            yield chunk
        if size_bytes != member.size_bytes:
            raise self._damaged(f"it has {size_bytes:,} bytes, expected {member.size_bytes:,}")
        if crc32 != member.crc32:
            raise self._damaged(f"its CRC-32 is {crc32:08x}, expected {member.crc32:08x}")

    def _stored(self, member: Member) -> Iterator[bytes]:
        while chunk := self._take(member.packed_bytes - self.position_bytes):
            yield chunk

    def _inflated(self, member: Member) -> Iterator[bytes]:
        inflater = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        while not inflater.eof:
            packed = b""
            if inflater.needs_input:
                packed = self._take(member.packed_bytes - self.position_bytes)
                if not packed:
                    raise self._damaged("it is cut short")
            try:
                chunk = inflater.decompress(packed, _CHUNK_BYTES)
            except igzip_lib.error as error:  # type: ignore[misc]  # a class, not the instance that its stub says
                raise self._damaged(f"it cannot be unpacked ({error})") from None
            if chunk:
                yield chunk
        if inflater.unused_data or self.position_bytes != member.packed_bytes:
            raise self._damaged("something else follows it in its place")


class GzipLog(_UnpackedLog):
    """A log in a gzip file, of one member or of several after each other."""

    def __init__(self, path: Path, file: BinaryIO, size_bytes: int, limits: ArchiveLimits) -> None:
        super().__init__(path, file, path.name, None, size_bytes)
        self._chunks = self._unpacked(limits)

    def _unpacked(self, limits: ArchiveLimits) -> Iterator[bytes]:
        size_bytes = 0
        packed = self._take(_PACKED_CHUNK_BYTES)
        while packed:
            inflater = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
            for chunk in self._member(inflater, packed):
                if not size_bytes and chunk[_TAR_MAGIC_OFFSET : _TAR_MAGIC_OFFSET + 5] == b"ustar":
                    raise SourceArchiveError(f"{self._path}: a tar inside a gzip; unpack it, and pass the log itself")
                size_bytes += len(chunk)
                self._check(size_bytes, limits)
                yield chunk
            packed = self._next_member(inflater.unused_data)

    def _member(self, inflater: igzip_lib.IgzipDecompressor, packed: bytes) -> Iterator[bytes]:
        while True:
            try:
                chunk = inflater.decompress(packed, _CHUNK_BYTES)
            except igzip_lib.error as error:  # type: ignore[misc]  # a class, not the instance that its stub says
                raise self._damaged(f"it cannot be unpacked ({error})") from None
            if chunk:
                yield chunk
            if inflater.eof:
                return
            packed = b""
            if inflater.needs_input:
                packed = self._take(_PACKED_CHUNK_BYTES)
                if not packed:
                    raise self._damaged("it is cut short")

    def _next_member(self, rest: bytes) -> bytes:
        """The next member's first bytes; empty at the end. Zeros that fill up a block (of a tape) are no data."""
        rest = rest.lstrip(b"\0")
        while not rest and (more := self._take(_PACKED_CHUNK_BYTES)):
            rest = more.lstrip(b"\0")
        if len(rest) == 1:
            rest += self._take(_PACKED_CHUNK_BYTES)
        if rest and not rest.startswith(_GZIP_MAGIC):
            raise self._damaged("something else follows the end of its data")
        return rest
