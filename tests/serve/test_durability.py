"""What was acknowledged stays, once and in order: servers and Postgres killed, two workers, two servers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from matinee.serve.board import Board
from served import wait_until
from services import PostgresServer

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version
    from served import Server, Starter

pytestmark = pytest.mark.xdist_group("postgres")


def test_two_workers_lose_nothing_double_nothing_and_keep_the_order(start: Starter, models: dict[str, Path]) -> None:
    server = start(models["markov"], workers=2)

    def tell(user: int) -> list[int]:
        """Events of one user over connections that change, each told twice; asked in between."""
        teller, told = str(uuid4()), []
        clients = [httpx.Client(base_url=server.client.base_url, timeout=60, trust_env=False) for _ in range(3)]
        for number in range(20):
            event = {"user": f"u{user}", "item": 6000 + number, "teller": teller, "number": number}
            for each in range(2):
                clients[(number + each) % 3].post("/v1/events", json=event).raise_for_status()
            told.append(6000 + number)
            found = clients[(number + 2) % 3].get(f"/v1/users/u{user}/history").json()["items"]
            assert found == told, "an answer knows all that was acknowledged before"
        for client in clients:
            client.close()
        return told

    with ThreadPoolExecutor(6) as pool:
        told = [*pool.map(tell, range(6))]
    with psycopg.connect(start.url) as connection:
        rows = connection.execute('SELECT "user", item FROM told_events ORDER BY place').fetchall()
    assert len(rows) == 6 * 20
    for user, items in enumerate(told):
        assert [int(item) for who, item in rows if who == f"u{user}"] == items


def test_a_killed_server_comes_back_with_every_history(
    start: Starter, models: dict[str, Path], version: Version
) -> None:
    first = start(models["markov"])
    user = int(version.raw_users[2])
    before = first.history(user)
    assert before == [int(version.raw_items[item - 1]) for item in version.sequences("train").of(3)]
    first.tell(user=user, item=5001)
    first.tell(user="new", item="newest")
    answer = first.ask(user=user, timestamp=1_003_000_000)
    first.kill()
    second = start(models["markov"])
    assert second.history(user) == [*before, 5001]
    assert second.history("new") == ["newest"]
    assert second.ask(user=user, timestamp=1_003_000_000) == answer
    third = start(models["markov"], rehearsal="apart")
    assert third.history(user) == before


def test_a_killed_worker_is_replaced(start: Starter, models: dict[str, Path]) -> None:
    import os
    import signal

    server = start(models["markov"], workers=2)
    board = Board(server.data_dir / "serve" / str(server.port))
    server.tell(user="u", item=1)
    victim = board.reports()[0].pid
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in {report.pid for report in board.reports()} and len(board.reports()) == 2)
    for _ in range(6):
        with httpx.Client(base_url=server.client.base_url, timeout=60, trust_env=False) as client:
            assert client.get("/v1/users/u/history").json()["items"] == [1]


def test_workers_end_with_the_one_who_started_them(start: Starter, models: dict[str, Path]) -> None:
    server = start(models["plain"])
    board = Board(server.data_dir / "serve" / str(server.port))
    assert len(board.reports()) == 1
    server.kill()
    wait_until(lambda: not board.reports())


def test_stopping_answers_what_was_begun(start: Starter, models: dict[str, Path]) -> None:
    server = start(models["markov"], batch_wait_ms=400)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(server.ask, user=user) for user in range(4)]
        told = pool.submit(server.tell, user="last", item=1)
        time.sleep(0.15)
        assert server.stop() == 0
        assert all(each.result()["items"] for each in asked)
        assert told.result() == {"new": 1, "known": 0}


def test_nothing_is_acknowledged_while_postgres_is_away(
    tmp_path: Path, start: Starter, models: dict[str, Path]
) -> None:
    own = PostgresServer(tmp_path / "own_postgres")
    own.start()
    try:
        start.url = own.url()
        server = start(models["markov"])
        teller = str(uuid4())
        outcomes: dict[int, int] = {}
        telling = threading.Thread(target=_tell_until_it_holds, args=(server, teller, outcomes))
        telling.start()
        wait_until(lambda: len(outcomes) > 20)
        own.kill()
        wait_until(lambda: server.client.get("/readyz").status_code == 503)
        assert server.ask(user="u")["items"], "what is known can be asked without Postgres"
        own.start()
        wait_until(lambda: server.client.get("/readyz").status_code == 200)
        telling.join(60)
        assert max(outcomes.values()) > 1, "some were refused, and told again"
        assert server.history("u") == [*range(100)]
        with psycopg.connect(own.url()) as connection:
            rows = connection.execute("SELECT item FROM told_events ORDER BY place").fetchall()
        assert [int(item) for (item,) in rows] == [*range(100)]
        assert "Traceback" not in server.errors.read_text()
    finally:
        start.stop()
        own.stop()


def _tell_until_it_holds(server: Server, teller: str, outcomes: dict[int, int]) -> None:
    with httpx.Client(base_url=server.client.base_url, timeout=60, trust_env=False) as client:
        for number in range(100):
            event: dict[str, Any] = {"user": "u", "item": number, "teller": teller, "number": number}
            tries = 1
            while (answered := client.post("/v1/events", json=event)).status_code != 200:
                assert (answered.status_code, answered.headers["retry-after"]) == (503, "1"), answered.text
                time.sleep(0.05)
                tries += 1
            outcomes[number] = tries
            time.sleep(0.01)
