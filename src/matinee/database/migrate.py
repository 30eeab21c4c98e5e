"""Brings the database's tables to what this code expects; the steps themselves lie in `migrations/versions/`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psycopg

from matinee.database.connect import connected, in_one_line, place_of
from matinee.errors import DatabaseError

__all__ = ["HEAD", "migrate"]

HEAD: Final = "0003"  # the newest step; a test holds it against the files
_LOCK: Final = 0x4D61_7469_6E65_6500  # 'Matinee'; whoever migrates holds it, whoever else comes waits


def migrate(url: str) -> bool:
    """Make or renew the tables; False where they are as they should be already.

    All steps are one transaction: killed midway, none of them was taken. Two processes at once migrate once.

    Raises:
        DatabaseError: the database is newer than this code, or Postgres does not answer or refuses.
        DiskFullError: Postgres has no space left.
    """
    with connected(url) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() != (None,):
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if found == (HEAD,):
                return False
    with in_one_line(url):
        return _upgrade(url)


def _upgrade(url: str) -> bool:
    # Alembic and SQLAlchemy cost half a second, and are needed once in a database's life.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above
    from sqlalchemy import create_engine  # noqa: PLC0415 - see above
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see above
    from sqlalchemy.pool import NullPool  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    # The address stays out of SQLAlchemy, whose errors and logs would tell it.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            found = MigrationContext.configure(connection).get_current_revision()
            if found is not None and found not in known:
                raise DatabaseError(
                    f"Postgres at {place_of(url)}: its tables are of step {found}, this Matinee knows up to {HEAD}; "
                    "upgrade Matinee to use this database"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise error.orig or error from None
    return found != HEAD
