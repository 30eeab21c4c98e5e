"""Databases out of Postgres and into it again, by its own pg_dump and pg_restore, with the number of rows to check."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from matinee.errors import BackupError, DiskFullError
from matinee.stack.postgres import environment, programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Dump", "count_rows", "databases", "dump", "restore_database"]

_TABLES: Final = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
_SHOWN_CHARACTERS: Final = 400
_NAME: Final = re.compile(r"[A-Za-z_][\w-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dump:
    """One database: the dump's bytes, in a file that has no name and goes with it; rows by table."""

    stream: IO[bytes]
    size_bytes: int
    rows: dict[str, int]


def databases(url: str) -> list[str]:
    """The databases of the server at `url` that somebody made."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'")
        return sorted(_checked(str(name)) for (name,) in rows)


@contextmanager
def dump(url: str, folder: Path) -> Iterator[Dump]:
    """The database at `url` as it is at one moment, while others write; `folder` has room for the dump.

    Raises:
        BackupError: pg_dump fails; quotes it.
        DiskFullError: no room in `folder`.
    """
    # What pg_dump writes and what is counted is one snapshot: it lives as long as this transaction.
    with psycopg.connect(url) as connection, tempfile.TemporaryFile(dir=folder) as file:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        _run("pg_dump", url, ["--format=custom", f"--snapshot={snapshot}"], output=file)
        rows = count_rows(connection)
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        yield Dump(file, size_bytes, rows)


def restore_database(url: str, stream: IO[bytes]) -> dict[str, int]:
    """Bring a dump back into the empty database at `url`, whole or not at all; its rows by table.

    Raises:
        BackupError: pg_restore fails; quotes it.
    """
    _run("pg_restore", url, ["--single-transaction", "--exit-on-error"], source=stream)
    with psycopg.connect(url) as connection:
        return count_rows(connection)


def count_rows(connection: psycopg.Connection) -> dict[str, int]:
    """Rows by `schema.table`, as this connection sees them."""
    counted = {}
    for schema, table in connection.execute(_TABLES).fetchall():
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        (number,) = connection.execute(query).fetchone() or (0,)
        counted[f"{schema}.{table}"] = int(number)
    return counted


def _run(
    program: str, url: str, arguments: list[str], *, output: IO[bytes] | None = None, source: IO[bytes] | None = None
) -> None:
    """Run one of Postgres's programs on a database; the password goes through its environment."""
    where = urlsplit(url)
    address = [f"--host={where.hostname}", f"--port={where.port}", f"--username={where.username}"]
    database = _checked(unquote(where.path[1:]))
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [programs() / program, *address, f"--dbname={database}", "--no-password", *arguments],
            env=environment() | {"PGPASSWORD": unquote(where.password or "")},
            stdin=subprocess.DEVNULL if source is None else subprocess.PIPE,
            stdout=subprocess.DEVNULL if output is None else output,
            stderr=said,
        ) as process,
    ):
        if source is not None and process.stdin is not None:
            try:
                shutil.copyfileobj(source, process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has failed, and says why
        code = process.wait()
        said.seek(0)
        text = " ".join(said.read().decode(errors="replace").split())[-_SHOWN_CHARACTERS:]
    if code == 0:
        return
    if "No space left" in text:
        raise DiskFullError(f"{program}: no space left for database {database}; free some ({text})")
    raise BackupError(f"{program}: database {database} failed with {code} ({text})")


def _checked(name: str) -> str:
    """A plain name: Postgres's programs take some others, as `host=...`, for a whole address."""
    if not _NAME.fullmatch(name):
        raise BackupError(f"database {name!r}: expected a name of letters, digits, '_' and '-'; rename it")
    return name
