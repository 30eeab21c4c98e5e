from __future__ import annotations

import importlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matinee.replay.folder import Record
from matinee.replay.journal import Asked, Journal, Told
from matinee.replay.live import LIVE, Live
from matinee.replay.live_document import LiveDocument
from matinee.replay.live_line import duration, line
from matinee.replay.plan import Arm, Arrivals, Plan
from matinee.replay.report import make_report
from matinee.replay.stage import Begun
from matinee.replay.tally import Tally
from matinee.schema.progress import Silent
from replay_oracle import make_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.replay.stream import Stream

ARMS = ("one", "other")
N = 400
LIVE_MODULE = importlib.import_module("matinee.replay.live")  # by its name: `matinee.replay` is the function


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIVE_MODULE, "_EVERY_S", 0.02)


@pytest.fixture
def stream() -> Stream:
    return make_stream([(number % 3 == 0, number % 5 != 0) for number in range(N)], asked_from=10)


class Listener(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


class Player:
    """Writes down what a replay would."""

    def __init__(self, folder: Path) -> None:
        self._journals = {arm: Journal(folder, arm, 10) for arm in ARMS}
        for arm in ARMS:
            (folder / f"{arm}.models").write_text(f"{arm} 0a1b2c3d\n")

    def play(self, first: int, last: int, session: int = 0) -> None:
        for event in range(first, last):
            now_us = time.time_ns() // 1000
            for arm, journal in self._journals.items():
                if event < 10:
                    continue  # told in advance, which is on no record
                outcome = 0 if event % 9 else 1
                rank = (event * 7 + len(arm)) % 30 + 1 if outcome == 0 else 0
                times = now_us - 3000, now_us - 2900, now_us
                journal.asked(Asked(event, outcome, 200, 0, session, rank, *times, 90, 70, (1,) * 10))
                journal.told(Told(event, 0, 1, session, now_us, now_us, now_us + 400, 50, 20))


def plan(**arrivals: Any) -> Plan:
    return Plan("toy", "0123456789abcdef", "00", arrivals=Arrivals(**arrivals))


def session(folder: Path, stream: Stream, plan: Plan, arms: tuple[str, ...] = ARMS) -> Begun:
    record = Record("20261125-120000-0a1b2c3d4e5f", plan, tuple(Arm(arm, "", "", "", "", "") for arm in arms), (), {})
    record = record.begun()
    record.write(folder)
    return Begun(folder, record, stream)


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / LIVE).read_text())
    return found


def wait_for(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_the_last_document_says_what_the_journals_say(tmp_path: Path, stream: Stream) -> None:
    shown: list[dict[str, Any]] = []
    with Live(session(tmp_path, stream, plan()), show=shown.append):
        player = Player(tmp_path)
        player.play(0, N // 2)
        wait_for(lambda: bool(shown) and shown[-1]["arms"]["other"]["told"] == N // 2 - 10)
        running = read(tmp_path)
        player.play(N // 2, N)
    final = read(tmp_path)
    assert (running["state"], final["state"], final["events"]) == ("running", "finished", N - 10)
    assert final["id"] == "20261125-120000-0a1b2c3d4e5f"
    tally = Tally.from_journals(tmp_path, stream, plan(), ARMS)
    assert final["arms"] == tally.figures()
    assert final["windows"] == tally.windows()
    told = make_report(tmp_path, stream).facts["arms"]
    assert {arm: {name: told[arm][name] for name in figures} for arm, figures in final["arms"].items()} == final["arms"]
    assert final == json.loads(json.dumps(shown[-1]))
    assert final["arms"]["one"]["model"] == "one 0a1b2c3d"
    assert Plan.from_json(final["plan"]) == plan()
    assert 0 < final["arms"]["one"]["answered"] < final["arms"]["one"]["asked"] == N - 10
    assert running["left_s"] > 0
    assert final["left_s"] is None
    assert final["network"]["lo"].keys() == {"in_per_s", "out_per_s", "in_bytes", "out_bytes"}
    assert final["began"] <= final["updated"]


def test_what_was_written_down_before_is_counted(tmp_path: Path, stream: Stream) -> None:
    Player(tmp_path).play(0, 100)
    with Live(session(tmp_path, stream, plan())):
        Player(tmp_path).play(100, N, session=1)
    assert read(tmp_path)["arms"]["one"]["told"] == N - 10
    assert {window["session"] for window in read(tmp_path)["windows"]["one"]} == {0, 1}


def test_what_is_read_piece_by_piece_is_what_is_there(tmp_path: Path, stream: Stream) -> None:
    """Also where the end of a file is half a record, as while one is being written."""
    Player(tmp_path).play(0, N)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    tally = Tally(stream, plan(), ARMS)
    chance = random.Random(5)
    for share in sorted(chance.random() for _ in range(20)):
        for path, content in whole.items():
            path.write_bytes(content[: int(len(content) * share)])
        tally.read(tmp_path)
    for path, content in whole.items():
        path.write_bytes(content)
    tally.read(tmp_path)
    at_once = Tally.from_journals(tmp_path, stream, plan(), ARMS)
    assert tally.figures() == at_once.figures()
    assert tally.windows() == at_once.windows()


@pytest.mark.parametrize(
    ("raised", "state"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed"), (SystemExit, "failed")]
)
def test_what_ends_a_replay_is_its_state(
    raised: type[BaseException], state: str, tmp_path: Path, stream: Stream
) -> None:
    progress = Listener()
    with pytest.raises(raised), Live(session(tmp_path, stream, plan()), progress=progress):
        raise raised
    assert read(tmp_path)["state"] == state
    assert progress.lines[-1].endswith(f"| {state}")
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path: Path, stream: Stream) -> None:
    (tmp_path / f".{LIVE}.new").mkdir()
    progress = Listener()
    shown: list[dict[str, Any]] = []
    with Live(session(tmp_path, stream, plan()), show=shown.append, progress=progress):
        wait_for(lambda: len(shown) > 3)
    assert len(progress.lines) == 1
    assert re.search(r"live\.json cannot be kept up to date \(Is a directory\); the replay goes on", progress.lines[0])
    assert not (tmp_path / LIVE).exists()


def test_a_terminal_that_goes_away_stops_nothing(tmp_path: Path, stream: Stream) -> None:
    def show(_: dict[str, Any]) -> None:
        raise BrokenPipeError

    with Live(session(tmp_path, stream, plan()), show=show):
        Player(tmp_path).play(0, N)
        wait_for((tmp_path / LIVE).exists)
    assert read(tmp_path)["arms"]["one"]["told"] == N - 10


def test_away_from_a_terminal_a_line_is_said_now_and_then(
    tmp_path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIVE_MODULE, "_LINE_EVERY_S", 0.05)
    progress = Listener()
    numbers = r"hr@10 0\.\d{4}, ndcg@10 0\.\d{4}, mrr@10 0\.\d{4}, p50 3\.0 ms, p99 3\.0 ms"
    told = rf"200 of 390 told, [\d,]+/s, {numbers}, 22 unanswered"
    wanted = re.compile(rf"^one: {told}; other: {told} \| (.* \| )?2 s left$")
    with Live(session(tmp_path, stream, plan(rate=100)), progress=progress):
        Player(tmp_path).play(0, 210)
        wait_for(lambda: any(wanted.search(said) for said in progress.lines))


def test_time_left_is_what_the_arrivals_say(tmp_path: Path, stream: Stream) -> None:
    shown: list[dict[str, Any]] = []
    with Live(session(tmp_path, stream, plan(speed=60)), show=shown.append):
        player = Player(tmp_path)
        wait_for(lambda: bool(shown))
        assert shown[-1]["left_s"] == N - 10 - 1  # a minute of the log a second
        player.play(0, 10 + 100)
        wait_for(lambda: shown[-1]["arms"]["other"]["asked"] == 100)
    assert shown[-2]["left_s"] == N - 10 - 100


def test_without_psutil_there_is_no_network(tmp_path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    begun = session(tmp_path, stream, plan())
    document = LiveDocument(tmp_path, begun.record, stream).make("finished")
    assert document["network"] == {}
    assert line(document).endswith(" | finished")


def test_a_replay_that_is_killed_was_interrupted(tmp_path: Path, stream: Stream) -> None:
    """Nobody is left to say so but the program that watches."""
    session(tmp_path, stream, plan())
    code = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from matinee.replay.folder import Record
from matinee.replay.live import Live
from matinee.replay.stage import Begun
from matinee.replay.stream import Stream
import numpy as np
folder, n = Path({str(tmp_path)!r}), {N}
nobody = np.zeros(n, np.int32)
stream = Stream(nobody, nobody, np.arange(n), [], [], nobody > 0, nobody > 0)
with Live(Begun(folder, Record.read(folder), stream)):
    print("watching", flush=True)
    time.sleep(60)
"""
    replay = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with replay:
        assert replay.stdout
        assert replay.stdout.readline() == b"watching\n"
        wait_for((tmp_path / LIVE).exists)
        Player(tmp_path).play(0, 50)
        replay.send_signal(signal.SIGKILL)
    wait_for(lambda: read(tmp_path)["state"] == "interrupted")
    assert read(tmp_path)["arms"]["one"]["told"] == 50 - 10


def test_a_view_that_dies_stops_nothing(tmp_path: Path, stream: Stream) -> None:
    progress = Listener()
    with Live(session(tmp_path, stream, plan()), progress=progress) as live:
        wait_for((tmp_path / LIVE).exists)
        os.kill(live._process.pid, signal.SIGKILL)
        Player(tmp_path).play(0, N)
    assert progress.lines == ["the view of the running replay has ended: exit code -9; the replay has not"]


def test_a_duration_is_told_in_the_two_largest_units() -> None:
    assert [duration(seconds) for seconds in (0.4, 59, 60, 3599, 7380)] == [
        "0 s", "59 s", "1 min 0 s", "59 min 59 s", "2 h 3 min",
    ]  # fmt: skip
