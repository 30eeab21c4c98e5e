"""The report against a slow count over the same records, and against what an evaluation says of the same ranks."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from hdrh.histogram import HdrHistogram

from matinee.errors import DiskFullError, ReplayError
from matinee.metrics.ranking import metrics_at
from matinee.metrics.segments import segments
from matinee.metrics.significance import compare
from matinee.replay.folder import RECORD, Record
from matinee.replay.journal import asked_records
from matinee.replay.report import FILES, PAGE, RANKS, REPORT, read_report
from matinee.replay.tally import Tally
from replayed import CLIENT, PLAN, lively_stream, quick_report, replayed

if TYPE_CHECKING:
    from pathlib import Path

STREAM = lively_stream(asked_from=100)
ARMS = {"one": 0.3, "two": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replays") / "20261125-120000-0123456789ab"
    replayed(folder, STREAM, arms=ARMS, unanswered=50)
    quick_report(folder, STREAM)
    return folder


def test_the_arms_are_the_live_tallys_and_more(folder: Path) -> None:
    facts = read_report(folder).facts
    tally = Tally.from_journals(folder, STREAM, PLAN, list(ARMS))
    for name, figures in json.loads(json.dumps(tally.figures())).items():
        assert figures.items() <= facts["arms"][name].items()
    assert facts["windows"] == json.loads(json.dumps(tally.windows()))


def test_it_says_what_was_replayed_by_whom_and_when(folder: Path) -> None:
    facts = read_report(folder).facts
    record = Record.read(folder)
    assert record is not None
    assert facts["id"] == "20261125-120000-0123456789ab"
    assert facts["plan"] == record.plan.as_json()
    assert (facts["dataset"], facts["version"], facts["version_sha256"]) == ("toy", "0123456789abcdef", "ab" * 32)
    assert facts["told_before"] == 100
    assert (facts["state"], facts["events"], facts["users"]) == ("finished", 500, np.unique(STREAM.users[100:]).size)
    assert (facts["first_s"], facts["last_s"]) == (STREAM.times_s[100], STREAM.times_s[-1])
    assert facts["machine"] == record.machine
    assert facts["client"] == {
        "wall_s": 6.0, "cpu_s": 0.25, "cpu_us_per_event": 416.7, "kept_up": True, "complaints": [],
    }  # fmt: skip


def test_segments_are_an_evaluations_of_the_same_ranks(folder: Path) -> None:
    found = read_report(folder).facts["arms"]["one"]["segments"]
    records = asked_records(folder, "one", 10)
    answered = records[records["outcome"] == 0]
    events = answered["event"]
    values = metrics_at(answered["rank"], 10)
    expected = segments(values, STREAM.users[events], STREAM.warm_users[events], STREAM.warm_items[events])
    assert found.keys() == expected.keys()
    for name, segment in expected.items():
        assert found[name]["events"] == segment.events
        assert found[name]["metrics"] == segment.metrics
        assert found[name]["intervals"] == {metric: list(ends) for metric, ends in segment.intervals.items()}
    figures = read_report(folder).facts["arms"]["one"]
    assert figures["metrics"] == pytest.approx(found["all"]["metrics"], rel=1e-12)
    assert figures["cold_users"]["metrics"] == pytest.approx(found["cold users"]["metrics"], rel=1e-12)


def test_arms_are_compared_on_what_both_have_answered(tmp_path: Path) -> None:
    stream = lively_stream(400)
    replayed(tmp_path, stream, arms=ARMS)
    one, two = (asked_records(tmp_path, name, 10) for name in ARMS)
    lost = one.copy()
    lost["outcome"][:40], lost["rank"][:40] = 1, 0
    (tmp_path / "one.asked").write_bytes(lost.tobytes())
    found = quick_report(tmp_path, stream).facts["differences"]
    assert list(found) == ["two"]
    ours, theirs = metrics_at(two["rank"][40:], 10), metrics_at(one["rank"][40:], 10)
    for metric, difference in found["two"].items():
        expected = compare(ours[metric], theirs[metric], stream.users[40:])
        assert difference["against"] == "one"
        assert difference["difference"] == expected.difference
        assert (difference["low"], difference["high"], difference["p"]) == (expected.low, expected.high, expected.p)
        assert difference["events"] == 360
    assert found["two"]["ndcg@10"]["difference"] < 0


def test_a_histogram_in_the_report_is_read_by_its_library(folder: Path) -> None:
    arm = read_report(folder).facts["arms"]["one"]
    read = HdrHistogram.decode(arm["histograms"]["ask"])
    records = asked_records(folder, "one", 10)
    answered = records[records["outcome"] == 0]
    took_us = (answered["done_us"] - answered["due_us"]).tolist()
    assert read.total_count == arm["answered"] == len(took_us)
    for percent in (50, 99):
        place = int(percent * len(took_us) / 100 + 0.5)  # as the library rounds
        assert read.get_value_at_percentile(percent) == pytest.approx(sorted(took_us)[place - 1], rel=1e-3)


def test_single_ranks_are_kept(folder: Path) -> None:
    table = pq.read_table(folder / RANKS).to_pydict()
    records = {record["event"]: record for record in asked_records(folder, "two", 10)}
    assert table["event"] == list(range(100, 600))
    assert table["user"] == STREAM.users[100:].tolist()
    assert table["item"] == STREAM.items[100:].tolist()
    assert table["rank two"] == [int(records[event]["rank"]) for event in table["event"]]
    assert sum(rank == 0 for rank in table["rank two"]) == 10


def test_what_should_be_known_first_is_a_warning(folder: Path, tmp_path: Path) -> None:
    assert [warning.partition(":")[0] for warning in read_report(folder).facts["warnings"]] == ["one", "two"]
    record = replayed(tmp_path, STREAM, why=None)
    complaint = "the client could not keep up: 3% of the questions were late"
    sessions = [*json.loads((tmp_path / RECORD).read_text())["sessions"]]
    sessions.append(
        {"began": "2026-11-25T13:00:00+00:00", "ended": "2026-11-25T13:00:09+00:00", "why": "interrupted",
         "detail": "", "client": {**CLIENT, "complaint": complaint}}
    )  # fmt: skip
    plain = json.loads((tmp_path / RECORD).read_text()) | {"sessions": sessions}
    (tmp_path / RECORD).write_text(json.dumps(plain))
    (tmp_path / "one.models").write_text("sse-pt 1\nsse-pt 2\n")
    asked = asked_records(tmp_path, "one", record.plan.k).copy()
    asked["model"][250:] = 1
    (tmp_path / "one.asked").write_bytes(asked.tobytes())
    report = quick_report(tmp_path, STREAM).facts
    first, stopped, models, client = report["warnings"]
    assert "not finished (interrupted)" in first
    assert "stopped once" in stopped
    assert models == "one: more than one model has answered: sse-pt 1 (250 answers), then sse-pt 2 (250 answers)."
    assert client == complaint
    assert report["client"]["kept_up"] is False
    assert report["client"]["wall_s"] == 6.0


def test_a_target_that_the_server_does_not_know_is_a_miss(tmp_path: Path) -> None:
    stream = lively_stream(50)
    replayed(tmp_path, stream)
    asked = asked_records(tmp_path, "one", 10).copy()
    asked["rank"] = -1
    (tmp_path / "one.asked").write_bytes(asked.tobytes())
    arm = quick_report(tmp_path, stream).facts["arms"]["one"]
    assert arm["answered"] == 50
    assert set(arm["metrics"].values()) == set(arm["segments"]["all"]["metrics"].values()) == {0.0}


def test_a_replay_that_was_killed_before_its_first_answer_has_a_report(tmp_path: Path) -> None:
    replayed(tmp_path, STREAM, why=None)
    (tmp_path / "one.asked").unlink()
    (tmp_path / "one.told").unlink()
    facts = quick_report(tmp_path, STREAM).facts
    assert facts["state"] == "killed"
    assert facts["arms"]["one"]["metrics"]["ndcg@10"] is None
    assert "NaN" not in (tmp_path / REPORT).read_text()


def test_the_same_replay_gives_the_same_report(folder: Path) -> None:
    before = read_report(folder)
    assert quick_report(folder, STREAM).sha256 == before.sha256
    assert before.sha256 == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def test_a_full_disk_leaves_the_report_of_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (folder / name).read_bytes() for name in FILES}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError, match="no space left"):
        quick_report(folder, STREAM)
    assert {name: (folder / name).read_bytes() for name in FILES} == before
    assert not [path for path in folder.iterdir() if path.name.startswith((".report", ".ranks"))]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', '{"format": 1'])
def test_what_is_no_report_is_said_so(tmp_path: Path, content: str) -> None:
    with pytest.raises(ReplayError, match="no report of a replay is there"):
        read_report(tmp_path)
    (tmp_path / REPORT).write_text(content)
    with pytest.raises(ReplayError, match=r"not a report|format 2, expected 1"):
        read_report(tmp_path)


def test_where_no_replay_is_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="no replay is there"):
        quick_report(tmp_path, STREAM)
    assert not (tmp_path / PAGE).exists()


def test_a_client_that_was_late_and_killed_has_not_kept_up(tmp_path: Path) -> None:
    replayed(tmp_path, STREAM)
    path = tmp_path / "one.asked"
    records = np.array(asked_records(tmp_path, "one", PLAN.k))
    for late, kept_up in ((5, True), (6, False)):  # of 500: more than one in a hundred, and no session that says so
        records["late"][:late] = 1
        path.write_bytes(records.tobytes())
        facts = quick_report(tmp_path, STREAM).facts
        assert facts["client"]["kept_up"] is kept_up
        assert any("could not keep up: 1.2% of the questions" in each for each in facts["warnings"]) is not kept_up
