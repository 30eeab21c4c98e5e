"""The order of questions and events, whatever a server does: every event once, nobody ahead of himself."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.errors import DiskFullError, ReplayError
from matinee.replay import dialogue, journal, lane
from matinee.replay.address import Address
from matinee.replay.client import Pool
from matinee.replay.clock import Clock, due_us
from matinee.replay.journal import OUTCOMES, Asked, Journal, Told, asked_records, titles, told_records
from matinee.replay.lane import Lane
from matinee.replay.plan import Arrivals, Plan
from matinee.replay.run import Run
from matinee.replay.stream import Stream
from matinee.replay.words import Words
from matinee.schema.progress import Silent
from recording_server import RecordingServer, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matinee.schema.progress import Progress
    from recording_server import Request


def make_stream(users: Sequence[int], asked_from: int = 0) -> Stream:
    """A person for each event; the item is the place of the event, so every question says which it is about."""
    items = np.arange(1, len(users) + 1, dtype=np.int32)
    warm = np.ones(len(users), np.bool_)
    return Stream(
        users=np.array(users, np.int32),
        items=items,
        times_s=np.arange(len(users), dtype=np.int64) // 3,
        raw_users=[f"u{user}" for user in users],
        raw_items=(items - 1).tolist(),
        warm_users=warm,
        warm_items=warm,
        asked_from=asked_from,
    )


def make_plan(**values: Any) -> Plan:
    return Plan("log", "0123456789abcdef", "ab", **{"connections": 4, "k": 2, "time_limit_s": 0.5} | values)


class Watched(Journal):
    """A journal that calls somebody once it has so many records of this session."""

    after: int | None = None
    then: Callable[[], None]
    so_far = 0

    def asked(self, entry: Asked) -> None:
        super().asked(entry)
        self._count()

    def told(self, entry: Told) -> None:
        super().told(entry)
        self._count()

    def _count(self) -> None:
        self.so_far += 1
        if self.so_far == self.after:
            asyncio.get_running_loop().call_soon(self.then)


class Started(Silent):
    """Remembers which phases began, and how much was to do."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int | None]] = []

    def start(self, phase: str, total: int | None, unit: str) -> None:
        del unit
        self.started.append((phase, total))


def play(
    folder: Path,
    stream: Stream,
    plan: Plan,
    urls: dict[str, str],
    *,
    stop_after: int | None = None,
    session: int = 0,
    progress: Progress | None = None,
) -> Run:
    """One session; stopped politely after so many records."""

    clock, lanes = Clock(), []
    arms_journal = type("ArmsJournal", (Watched,), {"after": stop_after, "then": lambda _: run.interrupt()})
    for arm, url in urls.items():
        address = Address.of(url)
        words = Words(address, stream, plan, np.array(stream.raw_items), "teller", None)
        pool = Pool(address, plan.connections, plan.time_limit_s, clock)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lane, "Journal", arms_journal)
            lanes.append(Lane(arm, stream, plan, folder, pool, words, session))
    run = Run(lanes, stream, plan, clock, check=lambda: None, progress=progress or Silent())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run.play())
    return run


def talk(server: RecordingServer, line: Any = None) -> list[tuple[str, int]]:
    """What was asked and told of one person (None: of all), in order of arrival; told again right away counts once."""
    said: list[tuple[str, int]] = []
    for request in server.requests:
        if line is None or request.body["user"] == line:
            asked = request.path.endswith("/recommend")
            word = ("ask", request.body["target"]) if asked else ("tell", request.body["number"])
            if asked or said[-1] != word:
                said.append(word)
    return said


def unfriendly(seed: int) -> Any:
    chance = random.Random(seed)

    def behave(request: Request) -> bytes | int | float | bool | None:
        del request
        kind = chance.random()
        if kind < 0.75:
            return True
        return chance.choice([None, 503, 429, 500, chance.random() / 200])

    return behave


@settings(max_examples=20)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=40),
    st.integers(0, 10**6),
    st.sampled_from([Arrivals(), Arrivals(rate=5000), Arrivals(speed=1000, max_gap_s=0.001)]),
    st.sampled_from(["user", "log"]),
    st.integers(1, 6),
)
def test_every_event_is_asked_about_once_and_told_in_its_turn(
    users: list[int], seed: int, arrivals: Arrivals, order: Any, connections: int
) -> None:
    stream, plan = make_stream(users), make_plan(arrivals=arrivals, order=order, connections=connections)
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as name,
        RecordingServer(unfriendly(seed)) as server,
    ):
        patch.setattr(dialogue, "_FIRST_WAIT_S", 0.001)
        folder = Path(name)
        play(folder, stream, plan, {"a": server.url})
        for line in {None} if order == "log" else {f"u{user}" for user in users}:
            events = [at for at, user in enumerate(users) if line in {None, f"u{user}"}]
            assert talk(server, line) == [(word, event) for event in events for word in ("ask", "tell")]
        assert sorted(server.told) == [*range(len(users))]
        asked, told = asked_records(folder, "a", 2), told_records(folder, "a")
        assert sorted(asked["event"].tolist()) == sorted(told["event"].tolist()) == [*range(len(users))]
        assert (asked["done_us"] >= asked["sent_us"]).all()
        assert (asked["sent_us"] >= asked["due_us"]).all()
        answered = asked["outcome"] == 0
        assert (asked["rank"][answered] == 1).all()
        assert (asked["items"][answered, 0] == asked["event"][answered] + 1).all()
        assert (asked["items"][~answered] == 0).all()
        assert titles(folder, "a") == ["toy@0"] * bool(answered.any())
        if arrivals.is_open_loop:
            due = asked["due_us"][np.argsort(asked["event"])]
            assert (due - due[0]).tolist() == due_us(stream.times_s, arrivals).tolist(), "fixed in advance"
        sent = [request.path.endswith("/events") for request in server.requests]
        assert told["attempts"].sum() >= sum(sent)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 5), min_size=5, max_size=40), st.data())
def test_a_polite_stop_loses_nothing_and_asks_nothing_twice(users: list[int], data: st.DataObject) -> None:
    asked_from = data.draw(st.integers(0, 3))
    stream = make_stream(users, asked_from)
    arrivals = data.draw(st.sampled_from([Arrivals(), Arrivals(rate=3000)]))
    plan = make_plan(arrivals=arrivals, connections=3)
    with tempfile.TemporaryDirectory() as name, RecordingServer() as server:
        folder, session = Path(name), 0
        while len(told_records(folder, "a")) < stream.asked:
            before = len(told_records(folder, "a"))
            stop_after = data.draw(st.integers(1, 60))
            play(folder, stream, plan, {"a": server.url}, stop_after=stop_after, session=session)
            asked, told = asked_records(folder, "a", 2), told_records(folder, "a")
            assert sorted(asked["event"].tolist()) == sorted(told["event"].tolist()), "what was asked about is told"
            assert len(told) > before
            session += 1
        questions = Counter(r.body["target"] for r in server.requests if r.path.endswith("/recommend"))
        assert questions == dict.fromkeys(range(asked_from, len(users)), 1)
        assert server.told[:asked_from] == [*range(asked_from)], "what comes before is told before"
        assert sorted(server.told) == [*range(len(users))]
        for user in set(users):
            mine = [event for event in server.told if users[event] == user]
            assert mine == sorted(mine)


def test_what_was_asked_about_in_another_session_is_told_at_once_and_counts_from_now(tmp_path: Path) -> None:
    stream, plan = make_stream([*range(1, 43)]), make_plan(arrivals=Arrivals(rate=2))
    written = Journal(tmp_path, "a", plan.k)
    for event in range(40):  # twenty seconds of the replay
        written.asked(Asked(event, 0, 200, 0, 0, 1, event, event, event, 1, 1, (1, 1)))
        if event not in {0, 7}:
            written.told(Told(event, 0, 1, 0, event, event, event, 1, 1))
    written.close()
    progress = Started()
    with RecordingServer() as server:
        play(tmp_path, stream, plan, {"a": server.url}, session=1, progress=progress)
        assert server.told == [0, 7, 40, 41]
    now = told_records(tmp_path, "a", since=38)
    assert sorted(now["event"].tolist()) == [0, 7, 40, 41]
    assert (now["done_us"] - now["due_us"]).max() < 5_000_000
    assert progress.started == [("replay", 4)], "what was done before is no work of this session"


def test_arms_go_each_at_its_own_pace_at_the_same_due_times(tmp_path: Path) -> None:
    stream, plan = make_stream([1, 2, 3, 4] * 10), make_plan(arrivals=Arrivals(rate=2000))
    with RecordingServer() as fast, RecordingServer(lambda _: 0.02) as slow:
        play(tmp_path, stream, plan, {"fast": fast.url, "slow": slow.url})
    journals = {arm: np.sort(asked_records(tmp_path, arm, 2), order="event") for arm in ("fast", "slow")}
    assert (journals["fast"]["due_us"] == journals["slow"]["due_us"]).all()
    assert journals["fast"]["done_us"].max() < journals["slow"]["done_us"].max() - 100_000


def _ranked(rank: int) -> bytes:
    content = b'{"items": [], "model": "m", "rank": %d}' % rank
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)


@pytest.mark.parametrize(
    ("behaviour", "outcome", "status"),
    [
        (429, "refused (429)", 429),
        (503, "refused (503)", 503),
        (500, "other error", 500),
        (404, "other error", 404),
        (None, "connection lost", 0),
        (0.7, "time limit", 0),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "other error", 200),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "other error", 200),
        (b"hello", "other error", 0),
        (_ranked(0), "other error", 200),
        (_ranked(-2), "other error", 200),
        (_ranked(2**31), "other error", 200),
    ],
)
def test_each_way_to_stay_without_an_answer_has_its_name(
    tmp_path: Path, behaviour: Any, outcome: str, status: int
) -> None:
    def behave(request: Request) -> Any:
        return behaviour if request.path.endswith("/recommend") else True

    with RecordingServer(behave) as server:
        play(tmp_path, make_stream([1, 2]), make_plan(), {"a": server.url})
        records = asked_records(tmp_path, "a", 2)
        assert [(OUTCOMES[one["outcome"]], one["status"]) for one in records] == [(outcome, status)] * 2
        assert (records["rank"] == 0).all()
        assert sorted(server.told) == [0, 1], "its failure is an outcome, and the event is told"


def test_an_item_that_the_server_has_never_heard_of_is_missed(tmp_path: Path) -> None:
    content = b'{"user": 1, "items": ["?"], "known": false, "model": "m"}'
    words = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)
    with RecordingServer(lambda request: words if request.path.endswith("/recommend") else True) as server:
        play(tmp_path, make_stream([1]), make_plan(), {"a": server.url})
    (record,) = asked_records(tmp_path, "a", 2)
    assert (record["outcome"], record["rank"], record["items"].tolist()) == (0, -1, [0, 0])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"arm a: the server does not take events: 401 no"),
        (409, r"does not take events: 409 no"),
        (503, r"has not acknowledged an event for 0.2 s \(503 no\); see to it, and run the same command again"),
        (None, r"has not acknowledged an event for 0.2 s \(connection lost\)"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "acknowledges an event in words that are none: 200"),
    ],
)
def test_a_server_that_takes_no_events_ends_the_replay_which_goes_on_later(
    tmp_path: Path, status: Any, words: str
) -> None:
    refused = [3]

    def behave(request: Request) -> Any:
        is_told = request.path.endswith("/events") and request.body["number"] in refused
        return status if is_told else True

    stream, plan = make_stream([1, 2, 3, 4, 5, 6]), make_plan(patience_s=0.2, connections=2)
    with RecordingServer(behave) as server:
        with pytest.raises(ReplayError, match=words):
            play(tmp_path, stream, plan, {"a": server.url})
        assert 3 not in told_records(tmp_path, "a")["event"]
        refused.clear()
        play(tmp_path, stream, plan, {"a": server.url}, session=1)
        assert sorted(asked_records(tmp_path, "a", 2)["event"].tolist()) == [*range(6)]
        assert sorted(server.told) == [*range(6)]


def test_one_arm_that_fails_lets_the_others_finish_what_they_have_begun(tmp_path: Path) -> None:
    stream = make_stream([1, 2, 3, 4] * 5)
    with (
        RecordingServer(lambda request: 422 if request.path.endswith("/events") else True) as bad,
        RecordingServer(lambda _: 0.005) as good,
    ):
        with pytest.raises(ReplayError, match="arm bad"):
            play(tmp_path, stream, make_plan(), {"good": good.url, "bad": bad.url})
        asked, told = asked_records(tmp_path, "good", 2), told_records(tmp_path, "good")
        assert sorted(asked["event"].tolist()) == sorted(told["event"].tolist()) == sorted(good.told)
        assert 0 < len(told) < len(stream)


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    with RecordingServer() as server:
        url = server.url
    with pytest.raises(ReplayError, match=rf"arm a: {url} cannot be reached"):
        play(tmp_path, make_stream([1]), make_plan(), {"a": url})


@pytest.mark.parametrize("kind", ["asked", "told"])
def test_a_full_disk_ends_the_replay_in_a_line(tmp_path: Path, kind: str) -> None:
    def opened(path: Path, size: int) -> int:
        return os.open("/dev/full", os.O_WRONLY) if path.suffix == f".{kind}" else usual(path, size)

    usual, stream = journal._open, make_stream([1, 2, 3] * 4)
    with RecordingServer() as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "_open", opened)
            with pytest.raises(DiskFullError, match="no space left for the journal"):
                play(tmp_path, stream, make_plan(), {"a": server.url})
        if kind == "asked":
            assert not server.told, "nothing is told that is not on record"
        play(tmp_path, stream, make_plan(), {"a": server.url}, session=1)
        assert sorted(server.told) == [*range(12)]
        assert sorted(told_records(tmp_path, "a")["event"].tolist()) == [*range(12)]


def test_what_the_client_costs_and_whether_it_keeps_up_is_told(tmp_path: Path) -> None:
    stream, plan = make_stream([*range(1, 31)]), make_plan(arrivals=Arrivals(rate=300))
    with RecordingServer() as server:
        run = play(tmp_path, stream, plan, {"a": server.url})
    facts = run.facts
    assert (facts.asked, facts.told) == (30, 30)
    assert facts.cpu_us_per_event
    assert facts.cpu_us_per_event > 0


def test_a_client_that_is_held_up_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    usual = Watched.asked

    def slow(self: Watched, entry: Asked) -> None:
        usual(self, entry)
        time.sleep(0.03)  # in which the next question is due

    monkeypatch.setattr(Watched, "asked", slow)
    stream, plan = make_stream([*range(1, 101)]), make_plan(arrivals=Arrivals(rate=1000))
    with RecordingServer() as server:
        run = play(tmp_path, stream, plan, {"a": server.url})
    late = asked_records(tmp_path, "a", 2)["late"]
    assert late.sum() == run.facts.late > 1
    assert "the client could not keep up" in run.facts.complaint
    assert run.facts.as_json()["complaint"] == run.facts.complaint


def test_a_refusal_that_says_when_to_come_back_is_heeded(tmp_path: Path) -> None:
    first = [True]

    def behave(request: Request) -> Any:
        if request.path.endswith("/events") and first.pop() if first else False:
            return problem(503, b"retry-after: 1\r\n")
        return True

    with RecordingServer(behave) as server:
        play(tmp_path, make_stream([1]), make_plan(), {"a": server.url})
    (record,) = told_records(tmp_path, "a")
    assert record["attempts"] == 2
    assert record["done_us"] - record["due_us"] > 990_000  # the loop's own timer rounds
