"""A client that is killed, stopped or started twice: every question once, every event once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matinee.errors import ReplayError, UsageError
from matinee.replay.folder import RECORD, Record
from played import check_nothing_is_lost_or_doubled, plan_of, play_against, records
from served import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matinee.version import Version
    from served import Starter

pytestmark = pytest.mark.xdist_group("postgres")

RATE = 120

_PLAY = f"""
import sys
from pathlib import Path
from matinee.replay.plan import Arrivals
from matinee.version import open_version
from played import plan_of, play_against
version = open_version(sys.argv[1])
play_against(version, plan_of(version, arrivals=Arrivals(rate={RATE})), sys.argv[2], Path(sys.argv[3]))
"""


class Client:
    """A replay as a program, at a rate at which it takes two seconds."""

    def __init__(self, words: Sequence[str | Path], folder: Path) -> None:
        self._folder = folder
        self.process = subprocess.Popen(
            [sys.executable, *words],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        )

    def wait_for(self, asked: int) -> None:
        """Until so many questions are on record, in whatever session."""
        wait_until(lambda: records(self._folder, "asked") >= asked or self.process.poll() is not None)

    def end(self, sign: int | None = None) -> tuple[int, str]:
        """Its exit code and what it has said."""
        if sign is not None:
            self.process.send_signal(sign)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


def test_a_killed_client_goes_on_where_it_was(
    start: Starter, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    url, folder, chance = start(models["markov"]).url, tmp_path / "replay", random.Random(os.urandom(8))
    words = ["-c", _PLAY, version.folder, url, folder]
    for sign in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        client = Client(words, folder)
        client.wait_for(records(folder, "asked") + chance.randint(1, 60))
        code, err = client.end(sign)
        assert code == -(signal.SIGKILL if sign == signal.SIGKILL else signal.SIGINT), err
    code, err = Client(words, folder).end()
    assert (code, err) == (0, "")
    record = Record.read(folder)
    assert record is not None
    check_nothing_is_lost_or_doubled(start, version, record.plan, folder)
    assert [session.why for session in record.sessions] == [None, None, "interrupted", "finished"]
    again = play_against(version, record.plan, url, folder)
    assert again.stream is None, "there was nothing to do"
    assert again.record == record


def test_a_client_that_is_asked_to_stop_does_what_it_has_begun(
    start: Starter, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    url, folder = start(models["plain"]).url, tmp_path / "replay"
    command = f"-m matinee replay {version.folder} --arm it={url} --rate {RATE} --out {folder} --no-track"
    client = Client(command.split(), folder)
    client.wait_for(60)
    with pytest.raises(UsageError, match="running already, in another process"):
        play_against(version, _same(folder), url, folder)
    code, err = client.end(signal.SIGINT)
    assert code == 130
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert records(folder, "asked") == records(folder, "told") < 220
    record = Record.read(folder)
    assert record is not None
    assert (record.sessions[-1].why, record.sessions[-1].client["told"]) == ("interrupted", records(folder, "told"))
    played = play_against(version, record.plan, url, folder)
    assert played.record.is_finished
    check_nothing_is_lost_or_doubled(start, version, record.plan, folder)


def _same(folder: Path) -> object:
    record = Record.read(folder)
    assert record is not None
    return record.plan


def test_a_server_that_knows_more_than_it_should_is_refused_before_anything_is_sent(
    start: Starter, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    server = start(models["plain"])
    plan = plan_of(version, limit=20)
    play_against(version, plan, server.url, tmp_path / "first")
    with pytest.raises(ReplayError, match=r"knows \d+ events of user \d+, expected \d+ .*a --rehearsal that is new"):
        play_against(version, plan, server.url, tmp_path / "second")
    assert not (tmp_path / "second").exists(), "a replay that never began leaves nothing"
    with pytest.raises(UsageError, match=r"holds replay .* and this one is another"):
        play_against(version, plan_of(version, limit=21), server.url, tmp_path / "first")
    assert (tmp_path / "first" / RECORD).exists()


def test_events_before_the_first_question_are_told_and_not_asked_about(
    start: Starter, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    (events,) = version.events("eval")
    plan = plan_of(version, since_s=int(events.timestamp[100]), connections=3)
    server = start(models["markov"])
    play_against(version, plan, server.url, tmp_path / "replay")
    check_nothing_is_lost_or_doubled(start, version, plan, tmp_path / "replay")
