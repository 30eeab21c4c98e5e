"""A connection to the database, and every way in which Postgres can say no as one line without its password."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from matinee.errors import DatabaseError, DiskFullError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["alone", "connected", "in_one_line", "place_of"]

_CONNECT_TIMEOUT_S: Final = 10


@contextlib.contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection for the length of a `with` block: one transaction, committed at its end, undone by an exception.

    Raises:
        DatabaseError: Postgres does not answer, breaks off, or refuses.
        DiskFullError: it has no space left.
    """
    with in_one_line(url), psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
        yield connection


@contextlib.contextmanager
def alone(url: str, what: str) -> Iterator[None]:
    """For whoever does `what`: one at a time, wherever they are, the others wait; a killed one does not stay.

    Raises:
        DatabaseError: see `connected`.
    """
    with connected(url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (what,))
        yield


@contextlib.contextmanager
def in_one_line(url: str) -> Iterator[None]:
    """What the driver raises inside the `with` block becomes one of our errors; see `connected`."""
    try:
        yield
    except psycopg.errors.DiskFull:
        raise DiskFullError(
            f"Postgres at {place_of(url)}: no space left on its disk; free some and run again"
        ) from None
    except psycopg.errors.UndefinedTable:
        raise DatabaseError(
            f"Postgres at {place_of(url)}: has no tables of Matinee yet; 'matinee register DIR' makes them"
        ) from None
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"Postgres at {place_of(url)}: {_one_line(error)}; look at 'matinee status', then run again, nothing is "
            "half done"
        ) from None
    except psycopg.Error as error:
        raise DatabaseError(f"Postgres at {place_of(url)}: refuses ({_one_line(error)})") from None


def place_of(url: str) -> str:
    """Host, port and database of an address; no user and no password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "an address that cannot be read"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
