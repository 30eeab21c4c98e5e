"""Replays against real servers, for tests of what may happen meanwhile: watched, and compared with the table."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from matinee.replay.against import Against
from matinee.replay.journal import asked_records, told_records
from matinee.replay.plan import Plan
from matinee.replay.stage import play
from matinee.replay.stream import read_stream
from served import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matinee.replay.stage import Played
    from matinee.version import Version
    from served import Starter

__all__ = ["ARM", "check_nothing_is_lost_or_doubled", "meanwhile", "plan_of", "play_against", "records"]

ARM = "it"


def plan_of(version: Version, **values: Any) -> Plan:
    """The plan of that version's eval."""
    return Plan(version.name, version.id, version.sha256, **values)


def play_against(version: Version, plan: Plan, url: str, out: Path) -> Played:
    """Without a report, which takes longer than the replay."""
    return play(version, plan, [Against(ARM, url=url)], data_dir=out.parent, out=out)


def records(folder: Path, kind: str) -> int:
    """How many records the journal has so far."""
    try:
        return len(asked_records(folder, ARM, 10) if kind == "asked" else told_records(folder, ARM))
    except FileNotFoundError:
        return 0


@contextmanager
def meanwhile(folder: Path, after: int, act: Callable[[], object]) -> Iterator[None]:
    """Once so many events are told, `act` is called, in a thread; what it raises is raised at the end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            wait_until(lambda: records(folder, "told") >= after)
            act()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    if failures:
        raise failures[0]


def check_nothing_is_lost_or_doubled(start: Starter, version: Version, plan: Plan, folder: Path) -> None:
    """The journal has each question and each event once, and so has the table, in each person's order."""
    stream = read_stream(version, plan)
    everything = [*range(stream.asked_from, len(stream))]
    assert np.sort(asked_records(folder, ARM, plan.k)["event"]).tolist() == everything
    assert np.sort(told_records(folder, ARM)["event"]).tolist() == everything
    with psycopg.connect(start.url) as connection:
        rows = connection.execute('SELECT number, "user", item, "timestamp" FROM told_events ORDER BY place').fetchall()
    assert sorted(number for number, *_ in rows) == [*range(len(stream))]
    for number, user, item, timestamp in rows:
        expected = (str(stream.raw_users[number]), str(stream.raw_items[number]), int(stream.times_s[number]))
        assert (user, item, timestamp) == expected
    for person in set(stream.raw_users):
        mine = [number for number, user, *_ in rows if user == str(person)]
        assert mine == sorted(mine)
