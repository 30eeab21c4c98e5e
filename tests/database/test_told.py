"""Events told back, on a real Postgres: durable when acknowledged, once, in order."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest

from matinee.database import Told, fill, history, migrate, tell
from matinee.errors import VersionNotFoundError
from matinee.stack import postgres
from services import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def connection(database: str, small_version: Path) -> Iterator[psycopg.Connection]:
    fill(database, small_version)  # of the data set 'ratings'
    with psycopg.connect(database) as opened:
        yield opened


def test_a_history_is_in_the_order_in_which_it_was_told(connection: psycopg.Connection) -> None:
    teller = uuid4()
    assert (
        tell(connection, "ratings", teller, [Told(0, "7", "b", 50), Told(1, "8", "x", 60), Told(2, "7", "a", 40)]) == 3
    )
    assert tell(connection, "ratings", teller, [Told(3, "7", "c", 45, 4.5)]) == 1
    assert history(connection, "ratings", ["7", "8", "nobody"], last=10) == {
        "7": [("b", 50), ("a", 40), ("c", 45)],
        "8": [("x", 60)],
        "nobody": [],
    }
    assert history(connection, "ratings", ["7"], last=2) == {"7": [("a", 40), ("c", 45)]}
    row = connection.execute("SELECT rating FROM told_events WHERE number = 3").fetchone()
    assert row == (4.5,)


def test_told_again_is_told_once(connection: psycopg.Connection) -> None:
    teller, other = uuid4(), uuid4()
    events = [Told(number, "7", str(number), 100 + number) for number in range(100)]
    assert tell(connection, "ratings", teller, events[:60]) == 60
    assert tell(connection, "ratings", teller, events) == 40
    assert tell(connection, "ratings", other, events[:1]) == 1  # another teller counts for itself
    assert [item for item, _ in history(connection, "ratings", ["7"], last=100)["7"]][:99] == [
        str(number) for number in range(1, 100)
    ]


def test_nothing_is_nothing(connection: psycopg.Connection) -> None:
    assert tell(connection, "ratings", uuid4(), []) == 0
    assert history(connection, "ratings", [], last=5) == {}


def test_a_data_set_that_nobody_registered_is_one_line(connection: psycopg.Connection) -> None:
    with pytest.raises(VersionNotFoundError, match=r"data set films: not in Postgres; 'matinee register DIR'"):
        tell(connection, "films", uuid4(), [Told(0, "7", "a", 1)])


def test_what_was_acknowledged_survives_the_kill_of_teller_and_server(small_version: Path, tmp_path: Path) -> None:
    """A process tells events and prints how far it is; then first Postgres and then it are killed."""
    server = PostgresServer(tmp_path / "postgres_data")
    server.start()
    teller = uuid4()
    try:
        postgres.ensure_database(server.url(), "matinee")
        url = server.url("matinee")
        migrate(url)
        fill(url, small_version)
        process = subprocess.Popen([sys.executable, "-c", _teller(url, teller)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        while int(process.stdout.readline()) < 50:
            pass
        time.sleep(0.05)
        server.kill()
        process.kill()
        acknowledged = int(process.communicate()[0].split("\n")[-2])
        server.start()
        with psycopg.connect(url) as connection:
            found = [row[0] for row in connection.execute("SELECT number FROM told_events ORDER BY place")]
            assert found == list(range(len(found)))
            assert len(found) > acknowledged
            # The teller does not know whether its last event arrived; it tells it again.
            tell(connection, "ratings", teller, [Told(number, "7", "a", number) for number in range(len(found) + 1)])
            assert len(history(connection, "ratings", ["7"], last=10**6)["7"]) == len(found) + 1
    finally:
        server.stop()


def _teller(url: str, teller: UUID) -> str:
    return (
        "import itertools, uuid, psycopg\nfrom matinee.database import Told, tell\n"
        f"with psycopg.connect({url!r}) as connection:\n"
        "    for number in itertools.count():\n"
        f"        tell(connection, 'ratings', uuid.UUID('{teller}'), [Told(number, '7', 'a', number)])\n"
        "        print(number, flush=True)\n"
    )
