"""Events told to a server as an archive like any other: which they are, and their bytes as CSV on this machine."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from matinee.database import connected
from matinee.database.connect import place_of
from matinee.database.told_range import LogEnd, csv, find_range, place_of_event
from matinee.errors import DiskFullError, SourceNotFoundError, UsageError
from matinee.etl.extract import Archive
from matinee.schema.layout import SPLITS
from matinee.schema.manifest import BaseEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    import psycopg

    from matinee.database.told_range import ToldRange
    from matinee.schema.layout import Split
    from matinee.schema.progress import Progress
    from matinee.version import Version

__all__ = ["ToldArchive", "fetch_told"]

_NAME: Final = "told.csv"
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ToldArchive:
    """What was fetched.

    Attributes:
        archive: `told.csv`, whose columns are user, item, rating (where the base or an event has ratings) and time.
        base: what the new version's manifest says of its base and of the log's end.
        told: which events they are.
        place: the database's address and the range, without credentials.
    """

    archive: Archive
    base: BaseEntry
    told: ToldRange
    place: str


def fetch_told(
    url: str,
    version: Version,
    folder: Path,
    *,
    log: str,
    past: Split | None,
    until: int | None,
    until_place: int | None,
    rated: bool,
    progress: Progress,
) -> ToldArchive:
    """Write the events of a log that `version` has not got yet to `folder`, hashed on the way.

    Args:
        url: of the database.
        version: the base.
        folder: of this call's own.
        log: the log's name.
        past: see `from_events`; None is what follows from the base.
        until: see `from_events`, and so is the next one.
        until_place: see there.
        rated: write a column of ratings although no event has one.
        progress: told of the rows.

    Raises:
        SourceNotFoundError: there are no such events.
        UsageError: the base has events of this log in splits that `past` leaves out.
        DatabaseError: Postgres does not answer, or has no tables of ours.
        DiskFullError: no space left for the archive.
    """
    with connected(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        after = _after(connection, version, log, progress)
        told = find_range(connection, log, after=after or 0, until=until, until_place=until_place)
        if told is None:
            raise SourceNotFoundError(_nothing(url, log, after, limited=until is not None or until_place is not None))
        manifest = version.manifest
        base = BaseEntry(
            version=version.id,
            manifest_sha256=version.sha256,
            past=_past(version, log, past, continued=after is not None),
            users=manifest.users.count,
            items=manifest.items.count,
            log=log,
            teller=str(told.end.teller),
            number=told.end.number,
        )
        ratings = rated or told.rated
        if past is None:
            _say_what_is_left_out(version, base.past, told.first_s, progress)
        integer_users, integer_items = (ids.kind == "integer" for ids in (manifest.users, manifest.items))
        progress.start("fetch", told.events, "rows")
        rows = csv(connection, told, integer_users=integer_users, integer_items=integer_items, ratings=ratings)
        size, sha256 = _write(folder / _NAME, rows, progress)
        progress.finish(f"{told.events:,} events told, up to place {told.place:,} of {log}")
    roles = ("user", "item", *(("rating",) if ratings else ()), "time")
    archive = Archive(
        path=folder / _NAME,
        name=version.name,
        sha256=sha256,
        size=size,
        origin=f"told_events/{log}",
        columns=tuple((role, role) for role in roles),
        separator=",",
    )
    return ToldArchive(archive, base, told, f"postgresql://{place_of(url)}/{archive.origin}/{after or 0}-{told.place}")


def _after(connection: psycopg.Connection[Any], version: Version, log: str, progress: Progress) -> int | None:
    """The place up to which the base has the log; None where it has none of it."""
    base = version.manifest.base
    if base is None or base.log != log:
        return None
    place = place_of_event(connection, log, LogEnd(UUID(base.teller), base.number))
    if place is None:
        progress.say(f"version {version.id} has events of another log called {log}; this one is taken from its start")
    return place


def _past(version: Version, log: str, past: Split | None, *, continued: bool) -> Split:
    last = SPLITS[-1]
    if continued and past not in {None, last}:
        raise UsageError(
            f"--past {past}: version {version.id} has events of {log} in all its splits, and they have happened; leave "
            "--past out"
        )
    return past or (last if continued else SPLITS[0])


def _say_what_is_left_out(version: Version, past: str, first_s: int, progress: Progress) -> None:
    """Whoever left --past out may not have meant that splits are lost which were over before anything was told."""
    over, events = "", 0
    for split in SPLITS[[*SPLITS].index(past) + 1 :]:  # type: ignore[arg-type]  # it is one of them
        facts = getattr(version.certificate, split)
        if facts.last is None or facts.last >= first_s:
            break
        over, events = split, events + facts.rows
    if over:
        progress.say(
            f"careful: only {version.id} up to {past} is taken in, and not the {events:,} events behind that up to "
            f"{over}, which are all earlier than what was told; pass --past {over} if they had happened"
        )


def _nothing(url: str, log: str, after: int | None, *, limited: bool) -> str:
    what = "no event was told" if after is None else f"no event was told after place {after:,}, up to which the base is"
    advice = "look at --until and --until-place" if limited else "serve a model and tell it what happens"
    dataset, _, rehearsal = log.partition("/")
    other = f", or leave --rehearsal {rehearsal} out" if rehearsal else f", or name the --rehearsal of {dataset}"
    return f"{log}: {what} (Postgres at {place_of(url)}); {advice}{other}"


def _write(path: Path, rows: Iterable[bytes | bytearray | memoryview], progress: Progress) -> tuple[int, str]:
    """Size and SHA-256 of what was written; the first row is the header."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("wb") as file:
            for count, piece in _pieces(rows):
                file.write(piece)
                digest.update(piece)
                progress.advance(count - (not size))
                size += len(piece)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            f"{path.parent}: no space left after {size:,} bytes of events told; make room, or name another --temp-dir"
        ) from None
    return size, digest.hexdigest()


def _pieces(rows: Iterable[bytes | bytearray | memoryview]) -> Iterator[tuple[int, bytearray]]:
    """Many rows at a time: how many, and their bytes."""
    piece, count = bytearray(), 0
    for row in rows:
        piece += row
        count += 1
        if len(piece) >= _PIECE_BYTES:
            yield count, piece
            piece, count = bytearray(), 0
    if count:
        yield count, piece
