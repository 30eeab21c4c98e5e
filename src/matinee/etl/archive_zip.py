"""What a ZIP says it holds, distrusted: every claim that could mislead is checked before a member is opened."""

from __future__ import annotations

import posixpath
import re
import stat
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from matinee.errors import SourceArchiveError, SourceNotFoundError
from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["ArchiveLimits", "Member", "choose", "data_offset", "read_directory"]


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may claim and may unpack to.

    Attributes:
        size_bytes: of the member once unpacked.
        ratio: unpacked bytes for each packed one. Deflate cannot pass 1,032; a log of ratings stays below 20.
        ratio_free_bytes: unpacked bytes below which no ratio is suspicious.
        members: files in the archive.
    """

    size_bytes: int = 1 << 40
    ratio: int = 1_000
    ratio_free_bytes: int = 10 << 20
    members: int = 100_000

    def broken_by(self, unpacked_bytes: int, packed_bytes: int) -> str:
        """Which limit these sizes break, in words; empty where none."""
        if unpacked_bytes > self.size_bytes:
            return f"unpacks to more than {show_size(self.size_bytes)}, the most that is read"
        if unpacked_bytes > max(self.ratio_free_bytes, self.ratio * packed_bytes):
            return f"unpacks to more than {self.ratio:,} times its {show_size(packed_bytes)}, as only a bomb does"
        return ""


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a ZIP.

    Attributes:
        name: its path inside.
        size_bytes: unpacked, as declared.
        packed_bytes: in the archive.
        method: 0 stored, 8 deflated; others are not read.
        crc32: of the unpacked bytes.
        header_offset: of its local header in the file.
        stored_name: the path as it stands in that header, where a Unicode field of the directory overrides it.
    """

    name: str
    size_bytes: int
    packed_bytes: int
    method: int
    crc32: int
    header_offset: int
    stored_name: str


_LOCAL_HEADER: Final = struct.Struct("<4s2xH18x2H")  # signature, flags, lengths of name and extra field
_LOCAL_SIGNATURE: Final = b"PK\x03\x04"
_ENCRYPTED: Final = 0x2041  # bits 0, 6 and 13: encrypted, strongly, with a hidden directory
_UTF8_NAME: Final = 0x800
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_PREFERRED: Final = ("ratings.csv", "ratings.dat", "u.data")
_TEXT_SUFFIXES: Final = (".csv", ".dat", ".tsv", ".txt", ".inter", ".data")
_ABOUT: Final = ("readme", "license", "licence", "copying", "changelog", "notice")
_SHOWN: Final = 10


def read_directory(path: Path, file: BinaryIO, limits: ArchiveLimits) -> list[Member]:
    """The archive's files, once nothing about them is hostile; folders and what macOS adds are left out.

    Raises:
        SourceArchiveError: no ZIP, damaged, or one that no honest tool writes for data.
    """
    infos, directory_offset = _directory(path, file)
    if len(infos) > limits.members:
        raise SourceArchiveError(f"{path}: {len(infos):,} members, expected at most {limits.members:,}")
    for info in infos:
        _check_name(path, info.orig_filename)
        _check_name(path, info.filename)
        _check_kind(path, info)
    _check_distinct(path, infos)
    _check_apart(path, infos, directory_offset)
    return [
        Member(
            name=info.filename,
            size_bytes=info.file_size,
            packed_bytes=info.compress_size,
            method=info.compress_type,
            crc32=info.CRC,
            header_offset=info.header_offset,
            stored_name=info.orig_filename,
        )
        for info in infos
        if not info.is_dir() and not _is_clutter(info.filename)
    ]


def choose(path: Path, members: Sequence[Member], wanted: str) -> Member:
    """The member to read: the wanted one, else the one that looks like a log.

    Raises:
        SourceNotFoundError: the wanted member is not there.
        SourceArchiveError: none looks like a log, or several do, or several have the wanted name.
    """
    if wanted:
        found = [member for member in members if member.name == wanted] or [
            member for member in members if posixpath.basename(member.name) == wanted
        ]
        if not found:
            raise SourceNotFoundError(f"{path}: no member {wanted!r}; it has {_listing(members)}")
    else:
        found = _candidates(members)
        if not found:
            raise SourceArchiveError(f"{path}: no member looks like a log; --member chooses one of {_listing(members)}")
    if len(found) > 1:
        raise SourceArchiveError(f"{path}: {len(found)} members may be the log, --member chooses: {_listing(found)}")
    return found[0]


def data_offset(path: Path, file: BinaryIO, member: Member) -> int:
    """Where the member's packed bytes begin.

    Raises:
        SourceArchiveError: the header in front of them does not agree with the directory.
    """
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_SIGNATURE):
        raise SourceArchiveError(f"{path}: damaged, the header of {member.name!r} is missing; fetch the archive again")
    _, flags, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    name = file.read(name_bytes).decode("utf-8" if flags & _UTF8_NAME else "cp437", "replace")
    if name != member.stored_name or flags & _ENCRYPTED:
        raise SourceArchiveError(
            f"{path}: {member.name!r} is called {name!r} in its own header, or encrypted there only; not read"
        )
    offset: int = member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    return offset


def _directory(path: Path, file: BinaryIO) -> tuple[list[zipfile.ZipInfo], int]:
    try:
        with zipfile.ZipFile(file) as archive:
            directory_offset: int = archive.start_dir
            return archive.infolist(), directory_offset
    except zipfile.BadZipFile as error:
        file.seek(0)
        reason = str(error)
        if reason == "File is not a zip file" and file.read(4) == _LOCAL_SIGNATURE:
            reason = "cut short: the directory at its end is missing"
    except (ValueError, NotImplementedError, EOFError, OverflowError, struct.error, MemoryError) as error:
        # zipfile lets these out where numbers or names in the directory make no sense.
        reason = f"its directory makes no sense ({error})"
    raise SourceArchiveError(f"{path}: damaged ZIP, {reason[:1].lower()}{reason[1:]}; fetch it again")


def _check_name(path: Path, name: str) -> None:
    parts = name.split("/")
    if "\0" in name or "\\" in name or _DRIVE.match(name) or name.startswith("/") or ".." in parts or not name:
        raise SourceArchiveError(
            f"{path}: refused, member {name[:100]!r} leads out of the archive; expected plain relative paths"
        )


def _check_kind(path: Path, info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a special file"
        raise SourceArchiveError(f"{path}: refused, member {info.filename!r} is {kind}; expected plain files only")
    if info.flag_bits & _ENCRYPTED:
        raise SourceArchiveError(
            f"{path}: member {info.filename!r} is encrypted; unpack it with its password, and pass the log itself"
        )


def _check_distinct(path: Path, infos: Iterable[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for info in infos:
        if info.filename in seen:
            raise SourceArchiveError(f"{path}: refused, two members are called {info.filename!r}; which one is meant?")
        seen.add(info.filename)


def _check_apart(path: Path, infos: Sequence[zipfile.ZipInfo], directory_offset: int) -> None:
    """No member's bytes may reach into the next one's: bombs share one piece of data among many members."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    limits = [*(info.header_offset for info in ordered[1:]), directory_offset]
    for info, limit in zip(ordered, limits, strict=False):  # an empty archive has the last limit only
        least_end = info.header_offset + _LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size
        if info.header_offset < 0:
            raise SourceArchiveError(
                f"{path}: damaged ZIP, member {info.filename!r} would lie before the file begins; fetch it again"
            )
        if least_end > limit:
            raise SourceArchiveError(
                f"{path}: refused, the bytes of member {info.filename!r} overlap with what follows; damaged, or a bomb"
            )


def _is_clutter(name: str) -> bool:
    base = posixpath.basename(name)
    return name.startswith("__MACOSX/") or base == ".DS_Store" or base.startswith("._")


def _candidates(members: Sequence[Member]) -> list[Member]:
    named = [(posixpath.basename(member.name).lower(), member) for member in members]
    for preferred in _PREFERRED:
        if found := [member for base, member in named if base == preferred]:
            return found
    if found := [member for base, member in named if base.endswith(".inter")]:
        return found
    return [member for base, member in named if base.endswith(_TEXT_SUFFIXES) and not base.startswith(_ABOUT)]


def _listing(members: Sequence[Member]) -> str:
    if not members:
        return "no files at all"
    shown = ", ".join(repr(member.name) for member in members[:_SHOWN])
    rest = len(members) - _SHOWN
    return f"{shown} and {rest:,} more" if rest > 0 else shown
