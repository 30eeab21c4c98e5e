from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from matinee import __version__
from matinee.cli import main
from matinee.cli.app import COMMANDS
from matinee.errors import SourceNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("numba", "numpy", "pyarrow", "matplotlib", "openlineage", "httpx", "isal", "rclone")


def test_help_and_version_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "rehearse: Walk the whole journey" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"matinee {__version__}\n"


def test_commands_are_listed_in_the_order_of_the_journey(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split(":")[0].strip() for line in lines if line.startswith("  ") and "--" not in line]
    assert listed == list(dict.fromkeys(command.words.split()[0] for command in COMMANDS))


def test_away_from_a_terminal_help_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    main(["transform", "--help"])
    out = capsys.readouterr().out
    assert out.isascii()
    assert "--fractions STR: Shares of train, eval and test, exact decimals that sum to 1." in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["extrakt"], "extrakt"),
        (["extract"], "SOURCE requires an argument"),
        (["extract", "x", "--colour"], "Unknown option: --colour"),
        (["transform", "x", "--out", "y", "--split", "alphabet"], "alphabet"),
        (["transform", "x", "--out", "y", "--seed", "many"], "many"),
        (["transform", "x", "--out", "y", "--fractions", "1,1,1"], "--fractions 1,1,1"),
        (["transform", "x", "--out", "y", "--memory-limit", "lots"], "--memory-limit 'lots'"),
        (["versions", "list"], "no store is named"),
    ],
)
def test_a_wrong_call_is_one_line_and_2(words: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("matinee: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_a_wrong_setting_is_a_wrong_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MATINEE_STROE", "x")
    assert main(["versions", "list"]) == 2
    assert "did you mean 'store'?" in capsys.readouterr().err


def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_output: object) -> None:
        raise error

    monkeypatch.setattr("matinee.etl.data.list", lambda: fail(None))


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SourceNotFoundError("x: no such file;\n look again"), 1, "x: no such file; look again"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "/disk/file"), 1, "/disk/file: no space left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 1, "no space left (Disk quota exceeded)"),
        (OSError(errno.EIO, "Input/output error"), 1, "unexpected OSError"),
        (RuntimeError("a defect"), 1, "unexpected RuntimeError: a defect; the traceback is in "),
    ],
)
def test_what_goes_wrong_is_one_line(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, error)
    assert main(["data", "list"]) == code
    err = capsys.readouterr().err
    assert err.startswith("matinee: ")
    assert err.count("\n") == 1
    assert message in err


def test_the_traceback_of_a_defect_is_in_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _failing(monkeypatch, RuntimeError("a defect"))
    main(["data", "list"])
    (path,) = tmp_path.glob("matinee-traceback-*.txt")
    assert "RuntimeError: a defect" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert str(path) in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _failing(monkeypatch, RuntimeError("a defect"))
    assert main(["data", "list", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["transform", "--help"], ["versions", "gc", "--help"]])
def test_help_loads_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, matinee.cli; code = matinee.cli.main(sys.argv[1:]);"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules];"
        "sys.exit(f'loaded: {loaded}' if loaded else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "matinee", "data", "list", "--json"],
        stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, cwd=tmp_path, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--json"]) == 0
    captured = capsys.readouterr()
    datasets = json.loads(captured.out)
    assert captured.err == ""
    assert [dataset["name"] for dataset in datasets][:2] == ["ml-100k", "ml-1m"]
    assert {"name", "rows", "licence", "page", "mirrors"} <= datasets[0].keys()


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
