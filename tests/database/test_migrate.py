"""The steps to today's tables, on a real Postgres."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import matinee.database
from matinee.database.migrate import HEAD, migrate
from matinee.errors import DatabaseError

pytestmark = pytest.mark.xdist_group("postgres")

_TABLES = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname"


def test_the_tables_are_made_once(database: str) -> None:
    assert migrate(database)
    before = _ask(database, _TABLES)
    assert {"datasets", "versions", "users", "items", "told_events", "alembic_version"} <= {name for name, _ in before}
    assert not migrate(database)
    assert _ask(database, _TABLES) == before


def test_the_newest_step_is_the_one_that_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(matinee.database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_many_at_once_migrate_once(database: str) -> None:
    code = f"from matinee.database import migrate; print(migrate({database!r}))"

    def run(_: int) -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(run, range(3))) == ["False\n", "False\n", "True\n"]


def test_a_newer_database_is_left_alone(database: str) -> None:
    migrate(database)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match=rf"its tables are of step 9999, this Matinee knows up to {HEAD}; upgrade"):
        migrate(database)


def test_a_step_that_fails_was_not_taken(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE told_events (mine int)")  # in the way of the last statements
    with pytest.raises(DatabaseError, match=r'refuses \(relation "told_events" already exists\)') as told:
        migrate(database)
    assert "\n" not in str(told.value)
    assert [name for name, _ in _ask(database, _TABLES)] == ["told_events"]


def _ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]
