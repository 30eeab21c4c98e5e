"""A stretch of the log of told events: which one is meant, and its events as CSV, streamed by Postgres row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    import psycopg

__all__ = ["LogEnd", "ToldRange", "csv", "find_range", "place_of_event"]


@dataclass(frozen=True, slots=True)
class LogEnd:
    """An event by what no other event has; the log up to there is the same in every copy of the database."""

    teller: UUID
    number: int


@dataclass(frozen=True, slots=True)
class ToldRange:
    """Consecutive events of one log, at least one.

    Attributes:
        log: the log's name.
        after, place: its events are those with after < place <= `place`.
        end: the last of them.
        events: how many.
        first_s: the earliest of their timestamps, Unix seconds.
        rated: whether one of them has a rating.
        spaced: whether an id of one of them begins or ends with a space or a tab.
    """

    log: str
    after: int
    place: int
    end: LogEnd
    events: int
    first_s: int
    rated: bool
    spaced: bool


_PLACE = 'SELECT place FROM told_events WHERE dataset = %s AND teller = %s AND "number" = %s'
_FIRST_LATE = 'SELECT min(place) FROM told_events WHERE dataset = %s AND place > %s AND "timestamp" >= %s'
_RANGE = """
    SELECT count(*), max(place), min("timestamp"), bool_or(rating IS NOT NULL),
        bool_or("user" ~ E'^[ \\t]|[ \\t]$' OR item ~ E'^[ \\t]|[ \\t]$')
    FROM told_events
    WHERE dataset = %(dataset)s AND place > %(after)s
        AND place <= coalesce(%(until_place)s, place) AND place < coalesce(%(first_late)s, place + 1)
"""
_END = 'SELECT teller, "number" FROM told_events WHERE dataset = %s AND place = %s'

# What a version cannot hold must not become another id on the way through a text. A line feed would end the row, so an
# id with one is written as none. Where ids are integers, one that is written otherwise (007, +7) was another id than 7
# to whoever was told of it: an apostrophe keeps it from being read as 7.
_TEXT_ID = "CASE WHEN position(E'\\n' IN {column}) = 0 THEN {column} END"
_INTEGER_ID = """
    CASE WHEN {column} ~ '^(0|-?[1-9][0-9]*)$' THEN {column}
        WHEN position(E'\\n' IN {column}) = 0 THEN '''' || {column} END
"""


def place_of_event(connection: psycopg.Connection[Any], log: str, end: LogEnd) -> int | None:
    """Where an event stands in a log; None where that log does not have it.

    Raises:
        psycopg.Error: Postgres does not answer or refuses.
    """
    dataset = _dataset(connection, log)
    row = connection.execute(_PLACE, (dataset, end.teller, end.number)).fetchone()
    return None if row is None else int(row[0])


def find_range(
    connection: psycopg.Connection[Any],
    log: str,
    *,
    after: int = 0,
    until: int | None = None,
    until_place: int | None = None,
) -> ToldRange | None:
    """The events of a log behind a place; None where there are none.

    Args:
        connection: in a transaction that sees one state of the database, lest the parts of the answer differ.
        log: its name.
        after: the place.
        until: up to the first event with this timestamp or a later one, without it; Unix seconds.
        until_place: up to this place.

    Raises:
        psycopg.Error: see `place_of_event`.
    """
    dataset = _dataset(connection, log)
    first_late = None
    if until is not None:
        ((first_late,),) = connection.execute(_FIRST_LATE, (dataset, after, until)).fetchall()
    limits = {"dataset": dataset, "after": after, "until_place": until_place, "first_late": first_late}
    ((events, place, first_s, rated, spaced),) = connection.execute(_RANGE, limits).fetchall()
    if not events:
        return None
    ((teller, number),) = connection.execute(_END, (dataset, place)).fetchall()
    return ToldRange(log, after, place, LogEnd(teller, number), events, first_s, rated, spaced)


def csv(
    connection: psycopg.Connection[Any], told: ToldRange, *, integer_users: bool, integer_items: bool, ratings: bool
) -> Iterator[bytes | bytearray | memoryview]:
    """The events in order of the log as CSV, a row a time: `user,item[,rating],time`, with a header.

    Text ids are quoted where they have to be, and all of them where one has spaces around it, which would be lost.

    Raises:
        psycopg.Error: see `place_of_event`; rows already given are no use then.
    """
    kinds = {"user": integer_users, "item": integer_items}
    columns: list[sql.Composable] = [_id(name, integer=integer) for name, integer in kinds.items()]
    columns += [sql.SQL("rating")] if ratings else []
    options: list[sql.Composable] = [sql.SQL("FORMAT csv, HEADER")]
    # Not always: a row with quotes is read some twenty times as slowly.
    quoted = [sql.Identifier(name) for name, integer in kinds.items() if not integer]
    if told.spaced and quoted:
        options.append(sql.SQL("FORCE_QUOTE ({})").format(sql.SQL(", ").join(quoted)))
    statement = sql.SQL(
        'COPY (SELECT {columns}, "timestamp" AS time FROM told_events '
        "WHERE dataset = {dataset} AND place > {after} AND place <= {place} ORDER BY place) TO STDOUT ({options})"
    ).format(
        columns=sql.SQL(", ").join(columns),
        dataset=sql.Literal(_dataset(connection, told.log)),
        after=sql.Literal(told.after),
        place=sql.Literal(told.place),
        options=sql.SQL(", ").join(options),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        yield from copy


def _id(name: str, *, integer: bool) -> sql.Composed:
    column = sql.Identifier(name)
    expression = sql.SQL(_INTEGER_ID if integer else _TEXT_ID).format(column=column)
    return sql.SQL("{} AS {}").format(expression, column)


def _dataset(connection: psycopg.Connection[Any], log: str) -> int:
    """The log's number; one that no log has where nobody ever wrote it down."""
    row = connection.execute("SELECT number FROM datasets WHERE name = %s", (log,)).fetchone()
    return 0 if row is None else int(row[0])
