from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from matinee.cli.output import Output
from matinee.cli.progress import Bar, Lines, listener, summary
from matinee.schema.layout import SPLITS
from matinee.schema.manifest import FileEntry
from matinee.schema.progress import Silent


def test_a_plain_table_is_aligned_by_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("name", "rows"), [("train", 50_000), ("eval", None)], right=("rows",))
    assert capsys.readouterr().out == "name     rows\ntrain  50,000\neval\n"


@pytest.mark.parametrize("output", [Output(quiet=True), Output(json=True)])
def test_who_should_be_silent_is(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name",), [("train",)])
    output.line("line")
    output.facts({"a": 1})
    assert isinstance(output.listener(), Silent)
    assert capsys.readouterr() == ("", "")


def test_json_takes_records_paths_and_moments(capsys: pytest.CaptureFixture[str]) -> None:
    record = {
        "file": FileEntry("a/b", 3, "00"),
        "path": Path("x"),
        "when": datetime(2000, 1, 1, tzinfo=UTC),
        "splits": SPLITS,
    }
    Output(json=True, quiet=True).result(record)
    assert json.loads(capsys.readouterr().out) == {
        "file": {"path": "a/b", "size": 3, "sha256": "00", "rows": None},
        "path": "x",
        "when": "2000-01-01T00:00:00+00:00",
        "splits": ["train", "eval", "test"],
    }


def test_away_from_a_terminal_progress_is_one_line_a_phase() -> None:
    stream = io.StringIO()
    progress = listener(stream)
    assert isinstance(progress, Lines)
    progress.start("read", 2_000, "bytes")
    for _ in range(2_000):
        progress.advance(1)
    progress.say("times are milliseconds")
    progress.finish("3 rejects")
    progress.start("sort", None, "rows")
    progress.finish()
    said, read, sort = stream.getvalue().splitlines()
    assert said == "times are milliseconds"
    assert read.startswith("read: 2.0 kB in ")
    assert read.endswith("; 3 rejects")
    assert sort.startswith("sort: in 0.")


def test_a_summary_has_what_is_worth_saying() -> None:
    assert summary("read", 2_000_000, "bytes", 0.4, "") == "read: 2.0 MB in 0.4 s (5.0 MB/s)"
    assert summary("write", 1_000, "rows", 0.01, "9 users") == "write: 1,000 rows in 0.0 s; 9 users"


def test_on_a_terminal_a_bar_is_drawn_and_leaves_its_summary() -> None:
    code = (
        "import sys, time\n"
        "from matinee.cli.progress import Bar, listener\n"
        "bar = listener(sys.stderr)\n"
        "assert isinstance(bar, Bar)\n"
        "bar.start('read', 100, 'rows')\n"
        "for _ in range(100): bar.advance(1); time.sleep(0.003)\n"
        "bar.say('a line')\n"
        "bar.finish('done')\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    text = _read_all(ours)
    assert process.wait(timeout=60) == 0
    assert "in memory" in text
    assert "a line" in text
    assert "read: 100 rows in 0." in text


def test_a_bar_that_is_never_finished_leaves_no_thread_behind() -> None:
    bar = Bar(io.StringIO())
    bar.start("read", 10, "rows")
    bar.start("write", 10, "rows")
    bar.finish()
    assert bar._live is None


def _read_all(handle: int) -> str:
    pieces = []
    while True:
        try:
            piece = os.read(handle, 4096)
        except OSError:  # a pty whose other end is closed says EIO instead of nothing
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(handle)
    return b"".join(pieces).decode()
