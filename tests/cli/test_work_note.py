from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from matinee.cli.output import Output
from matinee.cli.work_note import Noting, _words
from matinee.processes import birth_of
from matinee.schema.progress import Silent
from matinee.schema.work import PROGRESS, Work, works

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Listener(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def start(self, phase: str, total: int | None, unit: str) -> None:
        self.told.append((phase, total, unit))

    def advance(self, amount: int) -> None:
        self.told.append((amount,))

    def finish(self, note: str = "") -> None:
        self.told.append(("end", note))


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    yield folder
    gc.collect()  # a listener that a failed test left behind takes its file with it


def test_a_phase_is_noted_as_it_goes_and_passed_on(data_dir: Path) -> None:
    listener = Listener()
    noting = Noting(listener, data_dir)
    noting.start("read", 200, "rows")
    noting.advance(50)
    noting._written_s = 0.0  # as if some time had gone by
    noting.advance(70)
    (work,) = works(data_dir)
    assert (work.phase, work.done, work.total, work.unit, work.share) == ("read", 120, 200, "rows", 0.6)
    assert (work.pid, work.birth) == (os.getpid(), birth_of(os.getpid()))
    assert work.began <= work.updated
    noting.finish("well")
    (work,) = works(data_dir)
    assert (work.phase, work.share) == ("", None)
    assert listener.told == [("read", 200, "rows"), (50,), (70,), ("end", "well")]
    del noting
    gc.collect()
    assert [*(data_dir / PROGRESS).iterdir()] == []


def test_many_small_steps_are_written_a_few_times(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(Work, "write", lambda work, _: written.append(work.done))
    noting = Noting(Silent(), data_dir)
    noting.start("count", None, "rows")
    began_s = time.monotonic()
    for _ in range(20_000):
        noting.advance(1)
    assert len(written) <= 2 + (time.monotonic() - began_s) / 0.3


def test_a_data_folder_is_not_made_for_it_and_may_come_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    noting = Noting(Silent(), folder)
    noting.start("one", None, "")
    assert not folder.exists()
    folder.mkdir()
    noting.start("two", None, "")
    assert [work.phase for work in works(folder)] == ["two"]


def test_no_command_fails_because_it_cannot_be_watched(data_dir: Path) -> None:
    (data_dir / PROGRESS).write_text("a file where the folder should be")
    noting = Noting(Silent(), data_dir)
    noting.start("read", None, "rows")
    noting.finish()
    assert works(data_dir) == []


def test_a_killed_command_is_known_as_one_and_its_file_goes_with_the_next(data_dir: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from matinee.cli.work_note import Noting;"
        "from matinee.schema.progress import Silent; noting = Noting(Silent(), Path(sys.argv[1]));"
        "noting.start('read', 3, 'rows'); print('noted', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout
        child.stdout.readline()
        assert [work.pid for work in works(data_dir)] == [child.pid]
        child.kill()
        child.wait()
    assert works(data_dir) == []
    assert (data_dir / PROGRESS / f"{child.pid}.json").exists()
    noting = Noting(Silent(), data_dir)
    noting.start("read", None, "rows")
    assert [path.name for path in (data_dir / PROGRESS).glob("*.json")] == [f"{os.getpid()}.json"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"format": 2}', '{"format": 1, "pid": 1}', "[" * 100_000, '{"format": 1, "command": 5}', "\udcff"],
)
def test_a_file_that_is_none_of_ours_is_passed_over(data_dir: Path, content: str) -> None:
    (data_dir / PROGRESS).mkdir()
    (data_dir / PROGRESS / "1.json").write_text(content, errors="surrogateescape")
    assert works(data_dir, clean=True) == []
    assert (data_dir / PROGRESS / "1.json").exists()


def test_wrong_types_are_none_of_ours(data_dir: Path) -> None:
    (data_dir / PROGRESS).mkdir()
    pid = os.getpid()
    work = Work("train", pid, birth_of(pid), "train", 1, 2, "rows", "now", "now")
    path = work.write(data_dir / PROGRESS)
    assert works(data_dir) == [work]
    for name, value in (("done", "1"), ("total", 1.5), ("phase", None), ("pid", True)):
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
        assert works(data_dir) == [], name
        work.write(data_dir / PROGRESS)


def test_the_words_are_the_commands_and_nothing_else() -> None:
    assert _words(["versions", "verify", "x", "--endpoint", "https://me:secret@host"]) == "versions verify"
    assert _words(["train", "--set", "a=b"]) == "train"
    assert _words(["--help"]) == _words([]) == _words(["nonsense"]) == ""


def test_a_command_is_seen_whatever_it_prints(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["matinee", "train", "--quiet"])
    progress = Output(quiet=True).progress(data_dir)
    progress.start("train", 10, "sequences")
    assert [(work.command, work.phase) for work in works(data_dir)] == [("train", "train")]


def test_without_a_folder_it_is_the_one_of_the_settings(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setenv("MATINEE_DATA_DIR", str(data_dir))
    progress = Output(json=True).progress()
    progress.start("hash", 10, "bytes")
    assert [work.phase for work in works(data_dir)] == ["hash"]
