"""Looks a user or an item up by the id it has in the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg import sql
from psycopg.rows import class_row

from matinee.database.connect import connected

__all__ = ["Known", "item", "user"]


@dataclass(frozen=True, slots=True)
class Known:
    """A user or an item as one version knows it.

    Attributes:
        version: the version's id.
        raw: the id in the log, as text.
        id: the dense id.
        first_seen, last_seen: timestamps of the first and the last event, Unix seconds; None without events, as they
            are possible in a version that goes on from another one.
        events: how many.
    """

    version: str
    raw: str
    id: int
    first_seen: int | None
    last_seen: int | None
    events: int


def user(url: str, dataset: str, raw: str | int, *, version: str | None = None) -> Known | None:
    """A user by its raw id, in the last registered version of the data set or in the one named; None if unknown there.

    Raises:
        DatabaseError: Postgres does not answer, or has no tables of ours.
    """
    return _look_up(url, "users", dataset, raw, version)


def item(url: str, dataset: str, raw: str | int, *, version: str | None = None) -> Known | None:
    """An item, the same way as `user`."""
    return _look_up(url, "items", dataset, raw, version)


def _look_up(
    url: str, table: Literal["users", "items"], dataset: str, raw: str | int, version: str | None
) -> Known | None:
    statement = sql.SQL(
        """
        SELECT v.id AS version, p.raw, p.id, p.first_seen, p.last_seen, p.events
        FROM (
            SELECT v.number, v.id FROM versions v JOIN datasets d ON d.number = v.dataset
            WHERE d.name = %(dataset)s AND (%(version)s::text IS NULL OR v.id = %(version)s)
            ORDER BY v.number DESC LIMIT 1
        ) v JOIN {table} p ON p.version = v.number AND p.raw = %(raw)s
        """
    ).format(table=sql.Identifier(table))
    with connected(url) as connection, connection.cursor(row_factory=class_row(Known)) as cursor:
        return cursor.execute(statement, {"dataset": dataset, "version": version, "raw": str(raw)}).fetchone()
