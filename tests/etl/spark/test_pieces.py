"""What a cluster's result rests on, without a cluster: blocks of lines, ties where ranges meet, cuts, parts."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import SparkError
from matinee.etl.spark.order import _heads, tied_events, ties
from matinee.etl.spark.parts import bases, placed, write_part
from matinee.etl.spark.read import _Block, _lines
from matinee.etl.spark.session import _knock, one_line
from matinee.etl.spark.split import Ordered
from matinee.etl.split import CutFinder


@given(
    text=st.lists(st.sampled_from([b"a", b"bc,d", b"", b"\r"])).map(b"\n".join),
    first=st.integers(0, 3),
    block_bytes=st.integers(1, 9),
)
def test_blocks_hold_each_line_once_and_whole(text: bytes, first: int, block_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(text)
        starts = range(first, len(text), block_bytes)
        blocks = [_Block(number, start, min(start + block_bytes, len(text))) for number, start in enumerate(starts)]
        pieces = [_lines(path, block, first) for block in blocks]
        assert b"".join(pieces) == text[first:]
        assert all(piece.endswith(b"\n") for piece in pieces[:-1] if piece and not text.endswith(piece))


@st.composite
def ranges(draw: st.DrawFn) -> list[np.ndarray]:
    """Ascending times with many ties, cut anywhere."""
    time = np.sort(np.array(draw(st.lists(st.integers(0, 6), min_size=1, max_size=30)), np.int64))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, time.size - 1)), max_size=6)))
    return [piece for piece in np.split(time, cuts) if piece.size]


@given(pieces=ranges())
def test_ties_are_counted_across_ranges(pieces: list[np.ndarray]) -> None:
    summaries = [{"part": 2 * number, **ties(piece)} for number, piece in enumerate(pieces)]
    time = np.concatenate(pieces)
    _, counts = np.unique(time, return_counts=True)
    assert tied_events(summaries) == counts[counts > 1].sum()
    heads = _heads(summaries, bases(summaries))
    assert [heads[summary["part"]] for summary in summaries] == [
        int(np.searchsorted(time, piece[0], side="left")) for piece in pieces
    ]


@given(pieces=ranges(), data=st.data())
def test_cuts_are_those_of_one_machine(pieces: list[np.ndarray], data: st.DataObject) -> None:
    time = np.concatenate(pieces)
    targets = data.draw(st.lists(st.integers(0, time.size), min_size=1, max_size=4))
    finder = CutFinder(targets, time.size)
    finder.feed(time)
    with tempfile.TemporaryDirectory() as folder:
        summaries = []
        for number, piece in enumerate(pieces):
            write_part(pa.table({"time": piece}), Path(folder), number)
            summaries.append({"part": number, **ties(piece)})
        ordered = Ordered(Path(folder), summaries)
        for target in targets:
            assert ordered.cut(target) == (finder.position(target), finder.instant(target))
        for instant in range(-1, 8):
            assert ordered.position(instant) == np.searchsorted(time, instant)


def test_a_part_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "parts" / "one"
    with pytest.raises(FileNotFoundError), placed(target) as aside:
        (aside / "in no folder").write_text("half")
    assert list(target.parent.iterdir()) == []
    for _ in range(2):  # a task that runs twice
        with placed(target) as aside:
            aside.mkdir()
            (aside / "file").write_text("whole")
    assert [path.name for path in target.parent.iterdir()] == ["one"]
    assert (target / "file").read_text() == "whole"


def test_a_failure_in_java_and_python_comes_down_to_one_line() -> None:
    failure = (
        "An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.\n"
        ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 4 times\n"
        "Traceback (most recent call last):\n"
        '  File "/x/read.py", line 3, in _lines\n'
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/log.csv'\n"
        "\n\tat org.apache.spark.api.python.BasePythonRunner.handle(PythonRunner.scala:5)\n"
        "Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
    )
    assert one_line(failure) == "FileNotFoundError: [Errno 2] No such file or directory: '/data/log.csv'"
    assert one_line("") == "no reason given"


def test_a_master_that_nobody_is_costs_a_line_and_no_minutes() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        master = f"spark://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(SparkError, match="nobody answers"):
            _knock(master)
    with pytest.raises(SparkError, match="nobody answers"):
        _knock("spark://")
