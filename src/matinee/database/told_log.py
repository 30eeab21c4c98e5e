"""The events told of one data set as a log that several processes append to and follow, each in the same order.

Who appends holds a lock until the commit is done, so places are given in the order of commits: what is read is always
the log's beginning, and nothing ever appears before a place that was read already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from psycopg import AsyncConnection

from matinee.database.connect import in_one_line
from matinee.database.told import APPENDING, Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

__all__ = ["Appended", "LoggedEvent", "ToldLog"]

_CONNECT_TIMEOUT_S: Final = 5
_READ_ROWS: Final = 10_000

_SINCE: Final = """
    SELECT place, "user", item, "timestamp" FROM told_events WHERE dataset = %s AND place > %s ORDER BY place
"""
# The order of the arrays is the order of the places.
_APPEND: Final = """
    INSERT INTO told_events (dataset, teller, number, "user", item, "timestamp", rating)
    SELECT %s, told.teller, told.number, told."user", told.item, told."timestamp", told.rating
    FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::float8[]) WITH ORDINALITY
        AS told (teller, number, "user", item, "timestamp", rating, row)
    ORDER BY told.row
    ON CONFLICT (teller, number) DO NOTHING
    RETURNING place, teller, number
"""
_FOUND: Final = """
    SELECT teller, number, dataset, "user", item, rating FROM told_events
    WHERE (teller, number) IN (SELECT * FROM unnest(%s::uuid[], %s::bigint[]))
"""


class LoggedEvent(NamedTuple):
    """An event where it stands in the log: raw ids, Unix seconds."""

    place: int
    user: str
    item: str
    timestamp: int


class Appended(NamedTuple):
    """What came of an append.

    Attributes:
        log: what the log has gained since `after`, in order: others' events first, then the new ones of this append.
        new: for each event whether it was new; one that was told before is in the log once, where it was.
        conflicts: for each event whether its number is another event's.
    """

    log: list[LoggedEvent]
    new: list[bool]
    conflicts: list[bool]


class ToldLog:
    """A connection to the log of one data set; used by one task at a time. After an error: close it, open another."""

    def __init__(self, connection: AsyncConnection[Any], dataset: int, url: str) -> None:
        self._connection, self._dataset, self._url = connection, dataset, url

    @classmethod
    async def open(cls, url: str, dataset: str) -> Self:
        """Connect; a data set that nobody has registered is written down by its name.

        Raises:
            DatabaseError: Postgres does not answer, or has no tables of ours.
        """
        with in_one_line(url):
            connection = await AsyncConnection.connect(url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
            try:
                await connection.execute("INSERT INTO datasets (name) VALUES (%s) ON CONFLICT DO NOTHING", (dataset,))
                found = await connection.execute("SELECT number FROM datasets WHERE name = %s", (dataset,))
                ((number,),) = await found.fetchall()
            except BaseException:
                await connection.close()
                raise
            return cls(connection, number, url)

    async def close(self) -> None:
        """Give the connection back; also where it is broken."""
        await self._connection.close()

    async def since(self, place: int) -> list[LoggedEvent]:
        """What stands behind a place, in order.

        Raises:
            DatabaseError: Postgres does not answer.
        """
        with in_one_line(self._url):
            rows = await self._connection.execute(_SINCE, (self._dataset, place))
            return [LoggedEvent(*row) for row in await rows.fetchall()]

    async def all(self, after: int = 0) -> AsyncIterator[list[LoggedEvent]]:
        """The whole log, or what stands behind a place, in order, a piece at a time.

        Raises:
            DatabaseError: Postgres does not answer.
        """
        with in_one_line(self._url):
            async with self._connection.transaction(), self._connection.cursor(name="all") as cursor:
                await cursor.execute(_SINCE, (self._dataset, after))
                while rows := await cursor.fetchmany(_READ_ROWS):
                    yield [LoggedEvent(*row) for row in rows]

    async def append(self, events: Sequence[tuple[UUID, Told]], *, after: int) -> Appended:
        """Append events of any tellers in the order given; they are on disk when this returns.

        Args:
            events: (teller, event); one that was told before is left as it is.
            after: the last place that the caller has read.

        Raises:
            DatabaseError: nothing was appended, or, where the connection broke off, nobody knows: append them again.
            DiskFullError: Postgres has no space left; nothing was appended.
        """
        tellers = [teller for teller, _ in events]
        columns = [[getattr(event, name) for _, event in events] for name in Told.__dataclass_fields__]
        with in_one_line(self._url):
            # Five statements, one way to Postgres and back.
            async with self._connection.pipeline():
                await self._connection.execute("BEGIN")
                await self._connection.execute(APPENDING, (self._dataset,))
                missed = await self._connection.execute(_SINCE, (self._dataset, after))
                appended = await self._connection.execute(_APPEND, (self._dataset, tellers, *columns))
                await self._connection.execute("COMMIT")
            log = [LoggedEvent(*row) for row in await missed.fetchall()]
            by_key = {(teller, event.number): event for teller, event in reversed(events)}
            places = {(teller, number): place for place, teller, number in await appended.fetchall()}
            for key, place in places.items():
                event = by_key[key]
                log.append(LoggedEvent(place, event.user, event.item, event.timestamp))
            return Appended(log, *await self._judge(events, set(places)))

    async def _judge(
        self, events: Sequence[tuple[UUID, Told]], new: set[tuple[UUID, int]]
    ) -> tuple[list[bool], list[bool]]:
        """Whether each event was new, and whether its number is another event's."""
        if len(new) == len(events):
            return [True] * len(events), [False] * len(events)
        keys = [(teller, event.number) for teller, event in events]
        rows = await self._connection.execute(_FOUND, ([teller for teller, _ in keys], [number for _, number in keys]))
        found = {(teller, number): tuple(columns) for teller, number, *columns in await rows.fetchall()}
        first: list[bool] = []
        for key in keys:
            first.append(key in new)
            new.discard(key)  # told twice in one breath, it is new once
        # The moment is not compared: a teller that gives none gets another one each time.
        meant = [(self._dataset, event.user, event.item, event.rating) for _, event in events]
        return first, [found.get(key) != each for key, each in zip(keys, meant, strict=True)]
