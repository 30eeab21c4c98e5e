"""Events that a live system tells back: appended once whatever happens, and read again as histories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import VersionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import psycopg

__all__ = ["APPENDING", "Told", "history", "tell"]

# Taken before events are appended and held until they are committed, so that whoever follows the log misses none.
APPENDING: Final = "SELECT pg_advisory_xact_lock(hashtext('told_events'), %s)"


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it is told.

    Attributes:
        number: the teller's own count, never used twice: told again, the event is known and left as it is.
        user, item: raw ids, which no version needs to know.
        timestamp: Unix seconds.
        rating: None where there is none.
    """

    number: int
    user: str
    item: str
    timestamp: int
    rating: float | None = None


def tell(connection: psycopg.Connection[Any], dataset: str, teller: UUID, events: Sequence[Told]) -> int:
    """Append events in the order given and commit: they are on disk when this returns. How many were new.

    Told a hundred or a thousand at a time, one commit carries them all.

    Raises:
        VersionNotFoundError: no version of the data set was ever registered.
        psycopg.Error: nothing was appended, or, where the connection broke off, nobody knows: tell the same again.
    """
    number = _dataset(connection, dataset)
    columns = [[getattr(event, name) for event in events] for name in Told.__dataclass_fields__]
    connection.execute(APPENDING, (number,))
    appended = connection.execute(
        """
        INSERT INTO told_events (dataset, teller, number, "user", item, "timestamp", rating)
        SELECT %s, %s, told.* FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::float8[]) AS told
        ON CONFLICT (teller, number) DO NOTHING
        """,
        (number, teller, *columns),
    )
    connection.commit()
    return appended.rowcount


def history(
    connection: psycopg.Connection[Any], dataset: str, users: Sequence[str], *, last: int
) -> dict[str, list[tuple[str, int]]]:
    """The last events told of each of these users, in the order in which they were told: (item, timestamp).

    Raises:
        VersionNotFoundError: no version of the data set was ever registered.
        psycopg.Error: Postgres does not answer or refuses.
    """
    rows = connection.execute(
        """
        SELECT asked."user", told.item, told."timestamp"
        FROM unnest(%s::text[]) AS asked ("user") CROSS JOIN LATERAL (
            SELECT place, item, "timestamp" FROM told_events
            WHERE dataset = %s AND "user" = asked."user" ORDER BY place DESC LIMIT %s
        ) AS told
        ORDER BY told.place
        """,
        (list(users), _dataset(connection, dataset), last),
    )
    histories: dict[str, list[tuple[str, int]]] = {user: [] for user in users}
    for user, item, timestamp in rows:
        histories[user].append((item, timestamp))
    return histories


def _dataset(connection: psycopg.Connection[Any], name: str) -> int:
    row = connection.execute("SELECT number FROM datasets WHERE name = %s", (name,)).fetchone()
    if row is None:
        raise VersionNotFoundError(f"data set {name}: not in Postgres; 'matinee register DIR' puts a version there")
    return int(row[0])
