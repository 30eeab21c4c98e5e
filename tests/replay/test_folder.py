"""The record of a replay comes back as it was, and what is none is said, with where a new one may go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from matinee.errors import ReplayError, UsageError
from matinee.replay.folder import RECORD, Record, alone, choose, read_or_say, tidied
from matinee.replay.plan import Arm, Arrivals, Plan

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan("log", "0123456789abcdef", "ab", arrivals=Arrivals(rate=5))
ID = "20261125-120000-aaaaaaaaaaaa"


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record.new(ID, PLAN, [Arm("it", "toy@0", "", "", "", "teller")]).begun().ended("interrupted")
    record.write(tmp_path)
    return record


def test_it_comes_back_as_it_was(record: Record, tmp_path: Path) -> None:
    assert Record.read(tmp_path) == record
    assert Record.read(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2, expected 1; use the Matinee that wrote it"),
        ({"plan": PLAN.as_json() | {"k": 0}}, r"not the record of a replay \(k is 0"),
        ({"plan": "none"}, "not the record of a replay"),
        ({"arms": [{"name": "it"}]}, "not the record of a replay"),
        ({"sessions": 1}, "not the record of a replay"),
        (None, "not the record of a replay"),
    ],
)
@pytest.mark.usefixtures("record")
def test_what_is_none_is_said(change: dict[str, Any] | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / RECORD
    plain = json.loads(path.read_text())
    path.write_text("{" if change is None else json.dumps(plain | change))
    with pytest.raises(ReplayError, match=rf"replay\.json: {words}.*; begin anew with --again"):
        read_or_say(tmp_path, None)
    with pytest.raises(ReplayError, match=rf"replay\.json: {words}.*; choose another --out"):
        choose(tmp_path, "aaaaaaaaaaaa", tmp_path, again=False)


@pytest.mark.usefixtures("record")
def test_a_replay_that_is_there_is_kept(tmp_path: Path) -> None:
    assert choose(tmp_path, "aaaaaaaaaaaa", tmp_path, again=False) == tmp_path
    with pytest.raises(UsageError, match=rf"holds replay {ID}, which is kept; choose another --out to play it again"):
        choose(tmp_path, "aaaaaaaaaaaa", tmp_path, again=True)
    with pytest.raises(UsageError, match=rf"holds replay {ID}, and this one is another"):
        choose(tmp_path, "bbbbbbbbbbbb", tmp_path, again=False)


def test_whoever_comes_second_leaves_the_first_ones_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "replay"
    folder.mkdir()
    with alone(folder), tidied(folder):
        with pytest.raises(UsageError, match="running already"), alone(folder), tidied(folder):
            pass
        assert [*folder.iterdir()], "its lock is there"
    assert not folder.exists(), "nothing has begun"
