from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import matinee
from matinee.cli import main
from matinee.errors import ReplayError, ServiceError, UsageError, VersionDamagedError
from matinee.etl.titles import Title, Titles, read_titles
from matinee.one_person.sources import FromReplay, FromServer
from matinee.one_person.view import draw, look_at
from matinee.replay.folder import Record
from matinee.replay.journal import Asked, Journal, asked_records
from matinee.replay.live_document import LIVE
from matinee.version import open_version
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Played

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def busy(played: Played) -> int:
    """The person with the most events in eval."""
    return Counter(user for user, _, _ in played.rows).most_common(1)[0][0]


def film(item: int) -> Title:
    return Title(item, f"Film {item}", f"19{item}", ("Drama", "War")) if item < 35 else Title(item, str(item))


def ask_now(played: Played, user: int | None = None, **options: Any) -> matinee.one_person.view.Person:
    return matinee.person(user, against=played.url, token_file=played.token_file, data_dir=played.data_dir, **options)


def test_a_replays_steps_are_what_the_log_says(played: Played, busy: int) -> None:
    seen = matinee.person(busy, data_dir=played.data_dir, steps=1000, last=3)
    before = [item for user, item, _ in played.past if user == busy]
    events = [(item, time) for user, item, time in played.rows if user == busy]
    assert (seen.user, seen.events, seen.split) == (busy, len(events), "eval")
    assert (seen.is_warm, seen.source) == (bool(before), played.replay.name)
    assert [step.number for step in seen.steps] == [*range(1, len(events) + 1)]
    for step, (item, time) in zip(seen.steps, events, strict=True):
        assert (step.taken, step.time_s, step.events_before) == (film(item), time, len(before))
        assert list(step.last) == [film(each) for each in before[-3:]]
        (offer,) = step.offers
        assert (offer.arm, offer.outcome, len(offer.items)) == ("chains", "answered", 10)
        assert step.is_hit(offer) == (item in [each.raw for each in offer.items])
        before.append(item)
    assert seen.titles.startswith("titles of ")


def test_an_offer_is_what_the_journal_says(played: Played, busy: int) -> None:
    seen = matinee.person(busy, replay=played.replay, data_dir=played.data_dir, steps=1000)
    records = asked_records(played.replay, "chains", 10)
    places = [place for place, (user, _, _) in enumerate(played.rows) if user == busy]
    raw = played.version.raw_items
    for place, step in zip(places, seen.steps, strict=True):
        (record,) = records[records["event"] == place]
        assert step.offers[0].rank == (int(record["rank"]) if record["rank"] > 0 else None)
        assert [each.raw for each in step.offers[0].items] == [int(raw[item - 1]) for item in record["items"]]
    hits = [step.offers[0].rank for step in seen.steps if step.is_hit(step.offers[0])]
    assert hits
    assert max(rank for rank in hits if rank) <= 10


def test_a_server_that_is_asked_now_offers_what_it_offered_then(played: Played, busy: int) -> None:
    then = matinee.person(busy, data_dir=played.data_dir, steps=1000)
    now = ask_now(played, busy, steps=1000)
    assert now.source == played.url
    assert len(now.steps) == len(then.steps) > 5
    for one, other in zip(now.steps, then.steps, strict=True):
        assert (one.number, one.time_s, one.last, one.taken) == (other.number, other.time_s, other.last, other.taken)
        assert one.offers[0].rank == other.offers[0].rank
        assert one.offers[0].items == other.offers[0].items
        assert one.offers[0].arm.startswith("markov@")


def test_a_server_tells_what_it_knows_by_itself_and_looking_changes_nothing(played: Played, busy: int) -> None:
    took = [item for user, item, _ in (*played.past, *played.rows) if user == busy]
    for _ in range(2):
        now = ask_now(played, busy, last=4).now
        assert now is not None
        assert now.events == len(took)
        assert list(now.last) == [film(item) for item in took[-4:]]
        assert len(now.offer.items) == 10


def test_the_replay_was_watched_to_its_end(played: Played) -> None:
    told = json.loads((played.replay / LIVE).read_text())
    (arm,) = told["arms"].values()
    assert (told["state"], told["events"]) == ("finished", len(played.rows))
    assert arm["told"] == arm["answered"] == len(played.rows)
    assert arm["model"].startswith("markov@")


def test_steps_begin_where_they_are_asked_to(played: Played, busy: int) -> None:
    seen = matinee.person(busy, data_dir=played.data_dir, first=3, steps=2)
    assert [step.number for step in seen.steps] == [3, 4]
    assert not matinee.person(busy, data_dir=played.data_dir, first=10_000).steps


@pytest.mark.parametrize("warm", [True, False])
def test_somebody_is_drawn_by_the_seed(warm: bool, played: Played) -> None:
    trained = {user for user, _, _ in played.past}
    people = [matinee.person(warm=warm, seed=seed, steps=1, data_dir=played.data_dir) for seed in range(12)]
    again = [matinee.person(warm=warm, seed=seed, steps=1, data_dir=played.data_dir) for seed in range(12)]
    assert people == again
    assert {(person.user in trained, person.is_warm) for person in people} == {(warm, warm)}
    assert len({person.user for person in people}) > 1


def test_a_server_is_asked_about_somebody_it_has_never_heard_of(played: Played) -> None:
    with pytest.raises(UsageError, match="user 99999 has no event in eval; leave USER out"):
        ask_now(played, 99_999)


def test_a_running_replay_is_seen_as_far_as_it_has_come(played: Played, busy: int, tmp_path: Path) -> None:
    """Half of its events were asked about, one of them twice and one without an answer."""
    places = [place for place, (user, _, _) in enumerate(played.rows) if user == busy]
    Record.read(played.replay).write(tmp_path)  # type: ignore[union-attr]
    journal = Journal(tmp_path, "chains", 10)
    entry = Asked(places[0], 0, 200, 0, 0, -1, 1, 2, 3, 4, 5, (1, 2, 0, 3, *(0,) * 6))
    for asked in (entry, entry._replace(event=places[1], outcome=1, rank=0, items=(0,) * 10), entry._replace(rank=7)):
        journal.asked(asked)
    journal.close()
    seen = matinee.person(busy, replay=tmp_path, data_dir=played.data_dir)
    first, second = (step.offers[0] for step in seen.steps)
    assert (first.outcome, first.rank) == ("answered", None), "the first record counts, and it knew no such item"
    one, two, three = (int(raw) for raw in played.version.raw_items[:3])
    assert [item.text for item in first.items] == [
        film(one).text, film(two).text, "an item that is new to the version", film(three).text,
    ]  # fmt: skip
    assert (second.outcome, second.items, second.rank) == ("time limit", (), None)
    assert seen.events == len(places) > 2
    assert draw(FromReplay(tmp_path, played.version)) == busy


def test_before_its_first_question_a_replay_has_nobody_to_show(played: Played, tmp_path: Path) -> None:
    Record.read(played.replay).write(tmp_path)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="nothing was offered to any cold person yet"):
        matinee.person(replay=tmp_path, warm=False, data_dir=played.data_dir)


def test_a_replay_is_found_by_the_beginning_of_its_id(played: Played, tmp_path: Path) -> None:
    assert matinee.person(replay=played.replay.name[:12], data_dir=played.data_dir).source == played.replay.name
    with pytest.raises(ReplayError, match="no replay '1999'; run 'matinee replay', or ask a server"):
        matinee.person(replay="1999", data_dir=played.data_dir)
    with pytest.raises(ReplayError, match="no replay yet"):
        matinee.person(data_dir=tmp_path)
    data_dir = tmp_path / "data"
    for name in ("20261125-1", "20261125-2"):
        shutil.copytree(played.replay, data_dir / "replays" / "films" / name)
    with pytest.raises(UsageError, match=r"'2026' is the beginning of 20261125-1, 20261125-2"):
        matinee.person(replay="2026", data_dir=data_dir)


def test_another_version_than_was_played_is_refused(played: Played, tmp_path: Path) -> None:
    other = small_version(tmp_path, played.past + played.rows)
    with pytest.raises(VersionDamagedError, match=r"but .* was played; name the folder of the version that was"):
        matinee.person(version=str(other.folder), data_dir=played.data_dir)


def test_both_or_a_number_that_cannot_be_is_a_wrong_call(played: Played) -> None:
    with pytest.raises(UsageError, match="replay and against are both given"):
        ask_now(played, replay=played.replay)
    with pytest.raises(UsageError, match="seed is -1, expected 0 or more"):
        matinee.person(seed=-1, data_dir=played.data_dir)
    for name in ("first", "steps"):
        with pytest.raises(UsageError, match=f"{name} is 0, expected 1 or more"):
            matinee.person(data_dir=played.data_dir, **{name: 0})


def test_a_server_that_wants_its_token_or_is_none_is_said(played: Played) -> None:
    with pytest.raises(ServiceError, match=rf"{played.url}/v1/users/.*: 401, .* token of --token-file"):
        matinee.person(against=played.url, data_dir=played.data_dir)
    with pytest.raises(ServiceError, match="history: 422, last is '2000', expected 0 to 1000"):
        ask_now(played, last=2000)
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:9/v1/.*refused; expected a server of 'matinee serve'"):
        matinee.person(against="http://127.0.0.1:9", data_dir=played.data_dir)


def test_a_page_holds_its_source_and_titles_open(played: Played, busy: int) -> None:
    """As the dashboard uses it: opened once, looked at often."""
    version = open_version(played.version.folder)
    titles = read_titles(version)
    with FromServer(played.url, version, "eval", token=played.token_file.read_text()) as source:
        seen = [look_at(source, str(busy), titles, first=first, steps=1) for first in (1, 2)]
    assert [person.steps[0].number for person in seen] == [1, 2]
    assert seen[0].user == busy
    raw = look_at(source := FromReplay(played.replay, version), draw(source), Titles("none", {}), steps=1)
    assert raw.steps[0].taken.text == str(raw.steps[0].taken.raw)


def test_the_command_marks_what_was_hit(played: Played, busy: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["person", str(busy), "--steps", "1000", "--data-dir", str(played.data_dir)]) == 0
    out = capsys.readouterr().out
    seen = matinee.person(busy, steps=1000, data_dir=played.data_dir)
    lines = out.splitlines()
    kind = "warm" if seen.is_warm else "cold"
    assert lines[0] == (
        f"User {busy}, {kind}: {seen.events} events in eval of films {seen.version}; offers by {seen.source}."
    )
    hits = [step for step in seen.steps if step.is_hit(step.offers[0])]
    assert [line.split("> ")[1] for line in lines if "> " in line] == [str(step.taken) for step in hits]
    for step in hits:
        assert f"Took {step.taken} [Drama, War]: chains offered it at rank {step.offers[0].rank}." in lines
    assert f"Event 1 of {seen.events}, " in out


def test_the_command_shows_what_a_server_knows(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["person", "--against", played.url, "--token-file", str(played.token_file), "--k", "3", "--cold"]
    assert main([*command, "--data-dir", str(played.data_dir)]) == 0
    out = capsys.readouterr().out
    assert "By what the server itself knows now. " in out
    assert ", cold: " in out
    assert main([*command, "--data-dir", str(played.data_dir), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not told["is_warm"]
    assert len(told["now"]["offer"]["items"]) == 3
    assert told["steps"][0]["taken"].keys() == {"raw", "text", "year", "genres"}
