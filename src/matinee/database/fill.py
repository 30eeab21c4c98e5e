"""Fills the database with one version: the version's own row, its users and its items, all of them or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from matinee.database.connect import connected
from matinee.database.migrate import migrate
from matinee.database.rows import COLUMNS, END, HEADER, binary_rows
from matinee.database.seen import scan
from matinee.errors import VersionConflictError
from matinee.schema.certificate import Certificate
from matinee.schema.layout import ITEM_IDS, MANIFEST, USER_IDS
from matinee.schema.manifest import Manifest
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from matinee.database.seen import Seen

    Connection = psycopg.Connection[tuple[Any, ...]]

__all__ = ["Filled", "fill"]

_TABLES: Final = {"users": USER_IDS, "items": ITEM_IDS}


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of a fill.

    Attributes:
        version, dataset: the version's id, and its data set's name.
        users, items: rows of each.
        unchanged: it was there already.
    """

    version: str
    dataset: str
    users: int
    items: int
    unchanged: bool


def fill(url: str, folder: Path, *, location: str | None = None, progress: Progress | None = None) -> Filled:
    """Put the version in `folder` into the database at `url`, whose tables are made or renewed first.

    One transaction: killed at any moment, here or there, it happened as a whole or not at all, and can be run again. A
    version that is there is not read again. A server that is killed meanwhile may keep some megabytes of the table that
    it did not finish, as after every crash of Postgres.

    Args:
        url: of the database.
        folder: a complete version of this machine; its bytes are believed, see `matinee.register` for the check.
        location: where the version was published, without credentials; None leaves what is known of it.
        progress: told of events read and rows filled.

    Raises:
        VersionError: there is no complete version, or Postgres has another one under its id.
        DatabaseError: Postgres does not answer, breaks off or refuses, or is newer than this code.
        DiskFullError: Postgres has no space left.
    """
    progress = progress or Silent()
    manifest, certificate = Manifest.read(folder), Certificate.read(folder)
    manifest_sha256 = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    migrate(url)
    with connected(url) as connection:
        number = _insert_version(connection, manifest, certificate, manifest_sha256, location)
        if number is None:
            _renew(connection, manifest, manifest_sha256, location)
        else:
            seen = dict(zip(_TABLES, scan(folder, manifest, progress), strict=True))
            progress.start("fill", manifest.users.count + manifest.items.count, "rows")
            for table, path in _TABLES.items():
                _fill_part(connection, table, number, folder / path, seen[table], progress)
            progress.finish(f"{manifest.users.count:,} users, {manifest.items.count:,} items")
    return Filled(manifest.id, manifest.name, manifest.users.count, manifest.items.count, number is None)


def _insert_version(
    connection: Connection, manifest: Manifest, certificate: Certificate, manifest_sha256: str, location: str | None
) -> int | None:
    """The number of the new version; None where it is there. Whoever fills the same one is waited for."""
    connection.execute("INSERT INTO datasets (name) VALUES (%s) ON CONFLICT DO NOTHING", (manifest.name,))
    values = {
        "id": manifest.id,
        "format": manifest.format,
        "source_sha256": manifest.source.sha256,
        "manifest_sha256": manifest_sha256,
        "settings": json.dumps(manifest.settings),
        "users": manifest.users.count,
        "users_kind": manifest.users.kind,
        "users_sha256": manifest.users.sha256,
        "items": manifest.items.count,
        "items_kind": manifest.items.kind,
        "items_sha256": manifest.items.sha256,
        "split": certificate.split,
        "cuts": list(certificate.cuts),
        "train": certificate.train.rows,
        "eval": certificate.eval.rows,
        "test": certificate.test.rows,
        "location": location,
    }
    statement = sql.SQL(
        "INSERT INTO versions (dataset, {names}) SELECT number, {values} FROM datasets WHERE name = {name} "
        "ON CONFLICT (id) DO NOTHING RETURNING number"
    ).format(
        names=sql.SQL(", ").join(map(sql.Identifier, values)),
        values=sql.SQL(", ").join(map(sql.Placeholder, values)),
        name=sql.Placeholder("dataset"),
    )
    row = connection.execute(statement, {**values, "dataset": manifest.name}).fetchone()
    return None if row is None else int(row[0])


def _renew(connection: Connection, manifest: Manifest, manifest_sha256: str, location: str | None) -> None:
    """What may change of a version that is there: its place, and the bytes (not the rows) of its files."""
    renewed = connection.execute(
        "UPDATE versions SET manifest_sha256 = %s, location = coalesce(%s, location) "
        "WHERE id = %s AND users_sha256 = %s AND items_sha256 = %s",
        (manifest_sha256, location, manifest.id, manifest.users.sha256, manifest.items.sha256),
    )
    if renewed.rowcount != 1:
        raise VersionConflictError(
            f"version {manifest.id}: Postgres has other users or items under this id; one of the two is damaged, see "
            "'matinee lineage'"
        )


def _fill_part(connection: Connection, table: str, number: int, path: Path, seen: Seen, progress: Progress) -> None:
    """Fill a table of its own, without indexes; then index it, and make it a part of `table`.

    A table made in the same transaction needs no write-ahead log where the server allows that (`wal_level=minimal`).
    """
    names = {
        "part": sql.Identifier(f"{table}_{number}"),
        "table": sql.Identifier(table),
        "number": sql.Literal(number),
        "columns": sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
    }

    def run(statement: LiteralString) -> None:
        connection.execute(sql.SQL(statement).format(**names))

    run("CREATE TABLE {part} (LIKE {table} INCLUDING DEFAULTS)")
    run("ALTER TABLE {part} ALTER version SET DEFAULT {number}")
    statement = sql.SQL("COPY {part} ({columns}) FROM STDIN (FORMAT binary)").format(**names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(HEADER)
        for rows, content in binary_rows(path, seen):
            copy.write(content)
            progress.advance(rows)
        copy.write(END)
    run("ALTER TABLE {part} ADD PRIMARY KEY (id, version), ADD UNIQUE (raw, version)")
    run("ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES IN ({number})")
    run("ANALYZE {part}")
