"""Reads the versions that the database knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from matinee.database.connect import connected
from matinee.errors import VersionNotFoundError

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Version", "version", "versions"]

_QUERY = """
    SELECT v.id, d.name AS dataset, v.source_sha256, v.manifest_sha256, v.settings, v.users, v.users_kind, v.items,
        v.items_kind, v.split, v.cuts, v.train, v.eval, v.test, v.location, v.registered
    FROM versions v JOIN datasets d ON d.number = v.dataset
"""


@dataclass(frozen=True, slots=True)
class Version:
    """One version as the database knows it.

    Attributes:
        id, dataset: the version's id, and its data set's name.
        source_sha256, manifest_sha256: of the archive, and of the bytes of manifest.json.
        settings: those of the transform.
        users, items: how many.
        users_kind, items_kind: 'integer' or 'string': what their raw ids are.
        split, cuts: how events were divided, and the first instants of eval and test, Unix seconds.
        train, eval, test: events in each.
        location: where it was published; None where nobody said.
        registered: when it came into the database.
    """

    id: str
    dataset: str
    source_sha256: str
    manifest_sha256: str
    settings: dict[str, Any]
    users: int
    users_kind: str
    items: int
    items_kind: str
    split: str
    cuts: list[int]
    train: int
    eval: int
    test: int
    location: str | None
    registered: datetime


def versions(url: str, dataset: str | None = None) -> list[Version]:
    """All versions (of one data set), the last registered first.

    Raises:
        DatabaseError: Postgres does not answer, or has no tables of ours.
    """
    where = " WHERE %(dataset)s::text IS NULL OR d.name = %(dataset)s ORDER BY v.number DESC"
    with connected(url) as connection, connection.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(_QUERY + where, {"dataset": dataset}).fetchall()


def version(url: str, id: str) -> Version:  # noqa: A002 - it is the version's id
    """One version by its id.

    Raises:
        VersionNotFoundError: it was never registered.
        DatabaseError: see `versions`.
    """
    with connected(url) as connection, connection.cursor(row_factory=class_row(Version)) as cursor:
        found = cursor.execute(_QUERY + " WHERE v.id = %s", (id,)).fetchone()
    if found is None:
        raise VersionNotFoundError(f"version {id}: not in Postgres; 'matinee register DIR' puts it there")
    return found
