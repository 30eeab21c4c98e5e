"""Faults in the middle of a replay: what was acknowledged is in the log once and in order, and the report tells of it.

Each replay is a program against a real server and a real Postgres, at a rate at which the fault falls into its middle.
The models have no prior, so an answer depends on its person's history alone: whatever was killed meanwhile, every
answer has the rank that the evaluation gives that event, or an event was lost, doubled or out of order.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest

from matinee.model.checkpoint import load
from matinee.replay.journal import OUTCOMES, asked_records, told_records
from matinee.serve.board import Board
from matinee.serve.promotion import promote
from matinee.train.evaluate import evaluate_split
from own_disk import own_disk
from played import ARM, check_nothing_is_lost_or_doubled, plan_of, records
from served import wait_until
from services import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matinee.version import Version
    from served import Server, Starter

pytestmark = pytest.mark.xdist_group("postgres")

RATE = 80  # events a second, so that all of eval takes three
DISK_BYTES = 64 << 20  # of which a new Postgres takes two thirds


class Playing:
    """`matinee replay` of the split eval against a server, as a program; once more goes on where it was killed."""

    def __init__(self, version: Version, server: Server, folder: Path, *, rate: int = RATE) -> None:
        self.version, self.folder = version, folder
        self._words = [
            *(sys.executable, "-m", "matinee", "replay", version.folder, "--arm", f"{ARM}={server.url}"),
            *("--rate", str(rate), "--out", folder, "--data-dir", folder.parent / "data", "--no-track", "--json"),
        ]
        self.begin()

    def begin(self) -> None:
        self.process = subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_until_told(self, events: int) -> None:
        """Until so many are acknowledged."""
        wait_until(lambda: records(self.folder, "told") >= events or self.process.poll() is not None, timeout_s=60)
        assert self.process.poll() is None, self.process.communicate()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def report(self) -> dict[str, Any]:
        """Wait for the end; the figures of the only arm, and beside them what is said of the replay as a whole."""
        output, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, errors.decode()
        report: dict[str, Any] = json.loads(output)["report"]
        assert report["state"] == "finished"
        return report["arms"][ARM] | {name: report[name] for name in ("sessions", "warnings")}


@pytest.fixture
def play(version: Version, tmp_path: Path) -> Iterator[Callable[..., Playing]]:
    """Starts a replay against a server; it is ended with the test, however that ends."""
    begun: list[Playing] = []

    def begin(server: Server, **options: Any) -> Playing:
        begun.append(Playing(version, server, tmp_path / "replay", **options))
        return begun[-1]

    yield begin
    for playing in begun:
        playing.kill()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a test's own; only root can mount one."""
    with own_disk(tmp_path / "disk", f"size={DISK_BYTES}") as disk:
        yield disk


@pytest.fixture
def own_postgres(tmp_path: Path, start: Starter) -> Iterator[PostgresServer]:
    """One that may be killed, with the servers of the test before it."""
    yield from _own_postgres(tmp_path / "own_postgres", start)


@pytest.fixture
def cramped_postgres(disk: Path, start: Starter) -> Iterator[PostgresServer]:
    """One whose disk can be filled."""
    yield from _own_postgres(disk / "postgres", start)


def _own_postgres(folder: Path, start: Starter) -> Iterator[PostgresServer]:
    server = PostgresServer(folder)
    server.start()
    start.url = server.url()
    yield server
    start.stop()
    server.stop()


def test_the_server_is_killed_and_comes_back(
    start: Starter, models: dict[str, Path], play: Callable[..., Playing]
) -> None:
    server = start(models["plain"], workers=2)
    playing = play(server)
    playing.wait_until_told(50)
    server.kill()
    board = Board(server.data_dir / "serve" / str(server.port))
    for worker in board.reports():
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)  # else it would answer what it has begun
    wait_until(lambda: not board.reports())
    start(models["plain"], workers=2, port=server.port)
    report = playing.report()
    check(playing, start, report, {0: models["plain"]})
    assert report["unanswered"]["connection lost"] > 0
    assert any("connection lost" in warning for warning in report["warnings"])


def test_postgres_is_killed_and_comes_back(
    own_postgres: PostgresServer, start: Starter, models: dict[str, Path], play: Callable[..., Playing]
) -> None:
    playing = play(start(models["plain"], workers=2))
    playing.wait_until_told(50)
    own_postgres.kill()
    time.sleep(0.5)  # events are due meanwhile
    own_postgres.start()
    report = playing.report()
    check(playing, start, report, {0: models["plain"]})
    assert report["retries"] > 0
    assert any("had to be sent" in warning for warning in report["warnings"])


def test_the_disk_under_postgres_is_full_for_a_while(
    cramped_postgres: PostgresServer, start: Starter, models: dict[str, Path], play: Callable[..., Playing]
) -> None:
    server = start(models["plain"])
    playing = play(server)
    playing.wait_until_told(20)
    ballast = cramped_postgres.folder.parent / "ballast"
    fill(ballast)
    wait_until(lambda: server.client.get("/readyz").status_code == 503)
    ballast.unlink()
    report = playing.report()
    check(playing, start, report, {0: models["plain"]})
    assert report["retries"] > 0
    assert any("had to be sent" in warning for warning in report["warnings"])


def test_the_client_is_killed_and_goes_on(
    start: Starter, models: dict[str, Path], play: Callable[..., Playing]
) -> None:
    playing = play(start(models["plain"]))
    playing.wait_until_told(60)
    playing.kill()
    with psycopg.connect(start.url) as connection:
        kept = {number for (number,) in connection.execute("SELECT number FROM told_events")}
    assert {*told_records(playing.folder, ARM)["event"].tolist()} <= kept
    playing.begin()
    report = playing.report()
    check(playing, start, report, {0: models["plain"]})
    assert [session["why"] for session in report["sessions"]] == [None, "finished"]
    assert {*asked_records(playing.folder, ARM, 10)["session"].tolist()} == {0, 1}
    assert any(warning.startswith("It was stopped once and taken up again") for warning in report["warnings"])
    assert not report["unanswered"]


def test_another_model_is_promoted(start: Starter, models: dict[str, Path], play: Callable[..., Playing]) -> None:
    server = start(models["plain"], workers=2)
    playing = play(server, rate=RATE // 2)  # a promotion may take seconds
    playing.wait_until_told(30)
    promoted = promote(models["near"], data_dir=server.data_dir)
    report = playing.report()
    check(playing, start, report, {0: models["plain"], 1: models["near"]})
    assert [model["title"] for model in report["models"]] == [promoted.before, promoted.model]
    assert all(model["answered"] for model in report["models"])
    assert any("more than one model has answered" in warning for warning in report["warnings"])
    assert not report["unanswered"]


def check(playing: Playing, start: Starter, report: dict[str, Any], models: dict[int, Path]) -> None:
    """Nothing is lost, doubled or out of order; answers are the evaluation's; the report counts them as they are."""
    version = playing.version
    check_nothing_is_lost_or_doubled(start, version, plan_of(version), playing.folder)
    asked, told = asked_records(playing.folder, ARM, 10), told_records(playing.folder, ARM)
    answered = asked[asked["outcome"] == 0]
    for place, folder in models.items():
        here = answered[answered["model"] == place]
        expected = evaluate_split(load(folder)[0], version, split="eval").ranks
        assert here["rank"].tolist() == expected[here["event"]].tolist()
    assert {*answered["model"].tolist()} == {*models}

    counts = np.bincount(asked["outcome"], minlength=len(OUTCOMES)).tolist()
    assert (report["asked"], report["answered"], report["told"]) == (asked.size, counts[0], asked.size)
    assert report["unanswered"] == {name: count for name, count in zip(OUTCOMES[1:], counts[1:], strict=True) if count}
    assert report["told_again"] == int((told["known"] > 0).sum())
    assert report["retries"] == int(told["attempts"].sum()) - told.size


def fill(path: Path) -> None:
    """Until there is no space left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    assert shutil.disk_usage(path).free == 0
