"""What items are called: titles, years and genres from the movie file of the archive that a version came from.

A version made of events told has no such archive; the one that it goes on from has, or the one before that.

The archive is distrusted as any source is: nothing is unpacked to disk, sizes are bounded, and what would move a
terminal's cursor is left out of a title. Titles are for people to read; no number depends on them, so an archive that
has none, or cannot be read, is said and not fatal.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from matinee.errors import SourceError, VersionError, VersionNotFoundError
from matinee.etl.archive import ArchiveLimits, list_members, open_log
from matinee.etl.digest import file_sha256
from matinee.schema.layout import MANIFEST, RAW
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matinee.etl.archive import Member
    from matinee.schema.manifest import SourceEntry
    from matinee.version import Version

__all__ = ["Title", "Titles", "read_titles"]

_LIMITS: Final = ArchiveLimits(size_bytes=64 << 20)  # the largest movie file of the catalogue has 5 MB
_LONGEST: Final = 300  # characters of a title
_MOST_GENRES: Final = 20


@dataclass(frozen=True, slots=True)
class Title:
    """What one item is called.

    Attributes:
        raw: its raw id.
        text: its title; the raw id where none is known.
        year: four digits, or empty.
        genres: in the order of the file.
    """

    raw: int | str
    text: str
    year: str = ""
    genres: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} ({self.year})" if self.year else self.text


@dataclass(frozen=True, slots=True)
class Titles:
    """The titles of a version's items.

    Attributes:
        note: where they come from, or why there are none; one line.
        known: by raw id as text.
    """

    note: str
    known: Mapping[str, Title]

    def of(self, raw: int | str) -> Title:
        """What the item is called; its raw id stands for the title where none is known."""
        return self.known.get(str(raw)) or Title(raw, _plain(str(raw)) or repr(raw))


def read_titles(version: Version, *, archives: Path | None = None) -> Titles:
    """The titles of the version's items.

    Args:
        version: its archive is looked for in its own `raw/`; of a version that goes on from another, that one's is,
            where it lies beside it.
        archives: a folder of fetched archives, where it is looked for otherwise; its bytes must be those that the
            manifest names.
    """
    try:
        folder, manifest = _first(version)
    except VersionError as error:
        return Titles(f"{_INSTEAD}: {error}", {})
    source = manifest.source
    path = _archive(folder, source, archives)
    if path is None:
        return Titles(f"{_INSTEAD}: {source.archive} is not here", {})
    try:
        member = _movie_file(list_members(path, limits=_LIMITS), source.member)
        if member is None:
            return Titles(f"{_INSTEAD}: {source.archive} has no movie file", {})
        wanted = {str(raw): raw for raw in version.raw_items.tolist()}
        known = {
            key: _title(wanted[key], text, year, genres)
            for key, text, year, genres in _rows(member, _text(path, member))
            if key in wanted and _plain(text)
        }
    except (SourceError, csv.Error) as error:
        return Titles(f"{_INSTEAD}: {error}", {})
    return Titles(f"titles of {len(known):,} of {version.items:,} items from {member} in {source.archive}", known)


_INSTEAD: Final = "raw ids stand for titles"
_Row = tuple[str, str, str, list[str]]  # raw id, title, year, genres
# Of MovieLens 100K, in the order of the columns of u.item (u.genre in the same archive).
_U_ITEM_GENRES: Final = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_NO_GENRES: Final = "(no genres listed)"
_YEAR: Final = re.compile(r"(.+\S)\s*\((\d{4})\)", re.DOTALL)


def _first(version: Version) -> tuple[Path, Manifest]:
    """The version that began with an archive, and its folder: this one, or the first of those that it goes on from.

    Raises:
        VersionError: one of those is not beside this one, or cannot be read.
    """
    folder, manifest = version.folder, version.manifest
    while (base := manifest.base) is not None:
        folder = folder.parent / PurePosixPath(base.version).name
        path = folder / MANIFEST
        if not path.is_file() or file_sha256(path) != base.manifest_sha256:
            raise VersionNotFoundError(f"version {base.version}, which {manifest.id} goes on from, is not beside it")
        manifest = Manifest.read(folder)
    return folder, manifest


def _archive(folder: Path, source: SourceEntry, archives: Path | None) -> Path | None:
    """Where the source of the version in `folder` lies on this machine."""
    name = PurePosixPath(source.archive).name  # whatever a manifest says, it is looked for there and nowhere else
    own = folder / RAW / name
    if own.is_file():
        return own
    fetched = None if archives is None else archives / name
    if fetched is None or not fetched.is_file() or fetched.stat().st_size != source.size:
        return None
    return fetched if file_sha256(fetched) == source.sha256 else None


def _movie_file(members: Iterable[Member], log: str) -> str | None:
    """The member that names the items: called as the log is, else the only one beside it, else the only one."""
    found = [member.name for member in members if _names_items(member.name)]
    beside = [name for name in found if posixpath.dirname(name) == posixpath.dirname(log)]
    for names in (
        [name for name in beside if posixpath.splitext(name)[0] == posixpath.splitext(log)[0]],
        beside,
        found,
    ):
        if len(names) == 1:
            return names[0]
    return None


def _names_items(member: str) -> bool:
    base = posixpath.basename(member).lower()
    return base in {"movies.csv", "movies.dat"} or base.endswith(".item")


def _text(path: Path, member: str) -> str:
    """All of a member: UTF-8, or else Latin-1, which the older data sets are in."""
    content = bytearray()
    with open_log(path, member, limits=_LIMITS) as stream:
        buffer = bytearray(1 << 20)
        while got := stream.readinto(buffer):
            content += memoryview(buffer)[:got]
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _rows(member: str, text: str) -> Iterator[_Row]:
    base = posixpath.basename(member).lower()
    lines = [line.removesuffix("\r") for line in text.split("\n")]  # other breaks of lines may be part of a title
    if base == "movies.csv":
        return _rows_of_csv(text)
    if base == "movies.dat":
        return _rows_of_dat(lines)
    return _rows_of_u_item(lines) if base == "u.item" else _rows_of_item(lines)


def _rows_of_u_item(lines: Iterable[str]) -> Iterator[_Row]:
    for line in lines:
        raw, title, *rest = [*line.split("|"), "", ""]
        genres = [name for name, flag in zip(_U_ITEM_GENRES, rest[3:], strict=False) if flag == "1"]
        yield raw, title, "", genres


def _rows_of_dat(lines: Iterable[str]) -> Iterator[_Row]:
    for line in lines:
        raw, title, genres, *_ = [*line.split("::"), "", ""]
        yield raw, title, "", genres.split("|")


def _rows_of_csv(text: str) -> Iterator[_Row]:
    for row in csv.DictReader(io.StringIO(text, newline="")):
        yield row.get("movieId") or "", row.get("title") or "", "", (row.get("genres") or "").split("|")


def _rows_of_item(lines: Sequence[str]) -> Iterator[_Row]:
    """RecBole's: a header of `name:type`, columns by tabs, lists by blanks."""
    names = [column.partition(":")[0] for column in lines[0].split("\t")]
    places = [_place(names, words) for words in (("item_id",), ("title", "name"), ("year",), ("class", "genre"))]
    for line in lines[1:]:
        cells = line.split("\t")
        raw, title, year, genres = (cells[at] if at is not None and at < len(cells) else "" for at in places)
        yield raw, title, year, genres.split(" ")


def _place(names: Sequence[str], words: Sequence[str]) -> int | None:
    """The first column that has one of the words in its name."""
    return next((at for at, name in enumerate(names) if any(word in name for word in words)), None)


def _title(raw: int | str, text: str, year: str, genres: Sequence[str]) -> Title:
    text, year = _plain(text), _plain(year)
    if found := _YEAR.fullmatch(text):
        text, year = found[1], found[2]
    named = [_plain(genre) for genre in genres if genre and genre != _NO_GENRES]
    return Title(raw, text, year if re.fullmatch(r"\d{4}", year) else "", tuple(named[:_MOST_GENRES]))


def _plain(text: str) -> str:
    """What can be printed of it, not more than fits."""
    return "".join(character for character in text if character.isprintable()).strip()[:_LONGEST]
