"""The log of told events on a real Postgres: one order for all who follow it, each event once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from matinee.database import Told, migrate
from matinee.database.told_log import LoggedEvent, ToldLog
from matinee.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = pytest.mark.xdist_group("postgres")


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(work)


def test_an_append_tells_what_others_have_appended(database: str) -> None:
    migrate(database)

    async def work() -> None:
        one, two = await ToldLog.open(database, "log"), await ToldLog.open(database, "log")
        elsewhere = await ToldLog.open(database, "log/apart")
        teller = uuid4()
        first = await one.append([(teller, Told(0, "u", "a", 5)), (teller, Told(1, "v", "b", 4))], after=0)
        assert [event[1:] for event in first.log] == [("u", "a", 5), ("v", "b", 4)]
        assert (first.new, first.conflicts) == ([True, True], [False, False])
        await elsewhere.append([(uuid4(), Told(0, "u", "elsewhere", 1))], after=0)
        second = await two.append([(uuid4(), Told(0, "u", "c", 3))], after=0)
        assert [event.item for event in second.log] == ["a", "b", "c"]
        third = await one.append([(uuid4(), Told(0, "u", "d", 2))], after=first.log[-1].place)
        assert [event.item for event in third.log] == ["c", "d"]
        assert await two.since(second.log[-1].place) == third.log[1:]
        everything = [event async for events in two.all() for event in events]
        assert everything == [*second.log, *third.log[1:]]
        assert [event.place for event in everything] == sorted(event.place for event in everything)
        for log in (one, two, elsewhere):
            await log.close()

    _run(work())


def test_told_again_it_stays_where_it_is(database: str) -> None:
    migrate(database)

    async def work() -> None:
        log, teller = await ToldLog.open(database, "log"), uuid4()
        first = await log.append([(teller, Told(0, "u", "a", 5, 4.0))], after=0)
        again = await log.append(
            [
                (teller, Told(0, "u", "a", 6, 4.0)),  # at another moment, but the same event
                (teller, Told(1, "u", "b", 6)),
                (teller, Told(1, "u", "b", 6)),  # twice in one breath
                (teller, Told(0, "u", "other", 5, 4.0)),
                (teller, Told(0, "u", "a", 5, 3.0)),
            ],
            after=first.log[-1].place,
        )
        assert [event[1:] for event in again.log] == [("u", "b", 6)]
        assert again.new == [False, True, False, False, False]
        assert again.conflicts == [False, False, False, True, True]
        elsewhere = await ToldLog.open(database, "log/apart")
        apart = await elsewhere.append([(teller, Told(0, "u", "a", 5, 4.0))], after=0)
        assert (apart.log, apart.new, apart.conflicts) == ([], [False], [True])
        await elsewhere.close()
        await log.close()

    _run(work())


def test_many_appenders_have_one_order(database: str) -> None:
    migrate(database)

    async def work() -> None:
        logs = [await ToldLog.open(database, "log") for _ in range(4)]
        seen: list[list[LoggedEvent]] = [[] for _ in logs]

        async def append(mine: int) -> None:
            for number in range(25):
                after = seen[mine][-1].place if seen[mine] else 0
                told = (uuid4(), Told(number, f"u{mine}", str(number), 0))
                seen[mine] += (await logs[mine].append([told], after=after)).log
                await asyncio.sleep(0)

        await asyncio.gather(*map(append, range(4)))
        (reader, *_) = logs
        everything = await reader.since(0)
        assert len(everything) == 100
        for mine, found in enumerate(seen):
            assert found == everything[: len(found)], "each has seen the beginning of the one order, without a gap"
            assert [event.item for event in everything if event.user == f"u{mine}"] == [*map(str, range(25))]
        for log in logs:
            await log.close()

    _run(work())


def test_a_broken_connection_is_an_error_of_ours(database: str) -> None:
    migrate(database)

    async def work() -> None:
        log = await ToldLog.open(database, "log")
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        with pytest.raises(DatabaseError):
            await log.append([(uuid4(), Told(0, "u", "a", 5))], after=0)
        await log.close()
        log = await ToldLog.open(database, "log")
        assert await log.since(0) == []
        await log.close()

    _run(work())


def test_without_tables_it_says_so(database: str) -> None:
    with pytest.raises(DatabaseError, match="has no tables of Matinee yet"):
        asyncio.run(ToldLog.open(database, "log"))
