"""What was written down is read back, whenever the writer was killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.errors import DiskFullError, ReplayError
from matinee.replay.journal import OUTCOMES, Asked, Journal, Told, asked_records, check_records, titles, told_records

K = 3
_us = st.integers(0, 2**62)
_bytes = st.integers(0, 2**32 - 1)
_sessions = st.integers(0, 2**16 - 1)
questions = st.builds(
    Asked,
    event=_bytes,
    outcome=st.integers(0, len(OUTCOMES) - 1),
    status=st.integers(0, 999),
    model=_sessions,
    session=_sessions,
    rank=st.integers(-1, 2**31 - 1),
    due_us=_us,
    sent_us=_us,
    done_us=_us,
    bytes_out=_bytes,
    bytes_in=_bytes,
    items=st.tuples(*[st.integers(0, 2**31 - 1)] * K),
    late=st.integers(0, 1),
)
events = st.builds(
    Told,
    event=_bytes,
    known=st.integers(0, 1),
    attempts=_sessions,
    session=_sessions,
    due_us=_us,
    sent_us=_us,
    done_us=_us,
    bytes_out=_bytes,
    bytes_in=_bytes,
)


def written(folder: Path, asked: list[Asked], told: list[Told]) -> None:
    journal = Journal(folder, "arm", K)
    for question in asked:
        journal.asked(question)
    for event in told:
        journal.told(event)
    journal.close()


def read(folder: Path) -> tuple[list[Asked], list[Told]]:
    asked = [
        Asked(**{name: tuple(row[name]) if name == "items" else int(row[name]) for name in Asked._fields})
        for row in asked_records(folder, "arm", K)
    ]
    told = [Told(*(int(row[name]) for name in Told._fields)) for row in told_records(folder, "arm")]
    return asked, told


@settings(max_examples=50)
@given(st.lists(questions, max_size=5), st.lists(events, max_size=5), st.data())
def test_a_journal_cut_off_anywhere_goes_on_with_whole_records(
    asked: list[Asked], told: list[Told], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, asked, told)
        assert read(folder) == (asked, told)
        left = []
        for kind, records in (("asked", asked), ("told", told)):
            path = folder / f"arm.{kind}"
            content = path.read_bytes()
            cut = data.draw(st.integers(0, len(content)))
            path.write_bytes(content[:cut])
            left.append(records[: cut * len(records) // max(1, len(content))])
        assert read(folder) == (left[0], left[1])
        written(folder, asked, told)
        assert read(folder) == (left[0] + asked, left[1] + told)


def test_of_nothing_there_are_no_records(tmp_path: Path) -> None:
    assert read(tmp_path) == ([], [])
    assert titles(tmp_path, "arm") == []


def test_models_are_numbered_by_their_first_answer(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "arm", K)
    assert [journal.model(title) for title in ("a@1", "b@2", "a@1", "two\nlines", "two\nlines")] == [0, 1, 0, 2, 2]
    journal.close()
    assert titles(tmp_path, "arm") == ["a@1", "b@2", "two lines"]
    journal = Journal(tmp_path, "arm", K)
    assert [journal.model(title) for title in ("b@2", "c@3", "two\nlines")] == [1, 3, 2]
    journal.close()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"event": 3}, r"arm.asked: record 2 of 2 is damaged \(event 3, expected 1 to 2\); play it anew"),
        ({"event": 0}, r"record 2 of 2 is damaged \(event 0"),
        ({"outcome": len(OUTCOMES)}, "arm.asked: record 2 of 2 is damaged"),
        ({"rank": -2}, "arm.asked: record 2 of 2 is damaged"),
        ({}, r"arm.told: record 1 of 1 is damaged \(event 9"),
    ],
)
def test_records_that_cannot_be_are_said(tmp_path: Path, wrong: dict[str, int], words: str) -> None:
    good, told = Asked(1, 0, 200, 0, 0, 1, 1, 2, 3, 4, 5, (1,) * K), Told(2, 0, 1, 0, 1, 2, 3, 4, 5)
    written(tmp_path, [good], [told] if wrong else [])
    check_records(tmp_path, "arm", K, 1, 3)
    written(tmp_path, [good._replace(**wrong)] if wrong else [], [] if wrong else [told._replace(event=9)])
    with pytest.raises(ReplayError, match=words):
        check_records(tmp_path, "arm", K, 1, 3)


def test_a_full_disk_leaves_no_half_of_a_title(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "arm", K)
    assert journal.model("a@1") == 0
    (tmp_path / ".arm.models.new").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="no space left for the journal"):
        journal.model("b@2")
    journal.close()
    assert titles(tmp_path, "arm") == ["a@1"]


@pytest.mark.parametrize("kind", ["asked", "told"])
def test_a_full_disk_is_said_in_a_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"arm.{kind}").symlink_to("/dev/full")
    journal = Journal(tmp_path, "arm", 1)
    entry = Asked(0, 0, 200, 0, 0, 1, 1, 2, 3, 4, 5, (1,)) if kind == "asked" else Told(0, 0, 1, 0, 1, 2, 3, 4, 5)
    with pytest.raises(DiskFullError, match=r"no space left for the journal.*run the same command again"):
        getattr(journal, kind)(entry)
    journal.close()
