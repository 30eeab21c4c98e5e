"""`matinee data synth` as it is typed: what it prints, what --json says, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matinee.cli import main


@pytest.fixture(autouse=True)
def _log() -> None:
    rows = [(user, item, 10**9 + 4000 * item + user) for user in range(9) for item in range(12)]
    Path("log.csv").write_text("user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows))


def synth(*options: str) -> int:
    return main(["data", "synth", "--like", "log.csv", "--out", "big.zip", *options])


def test_it_says_what_was_written_and_then_that_it_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert synth("--rows", "2e3", "--seed", "5") == 0
    out, err = capsys.readouterr()
    assert "write: 2,000 rows in" in err
    assert {line.split()[0] for line in out.splitlines()} >= {
        "log",
        "size",
        "rows",
        "users",
        "items",
        "seed",
        "licence",
    }
    assert "blocks   4 copies of the source's 12 items" in out
    assert synth("--rows", "2000", "--seed", "5") == 0
    assert capsys.readouterr().out.endswith("It was there already; nothing was done.\n")


def test_a_dry_run_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert synth("--rows", "2000", "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["made"], told["items"]) == (2000, False, None)
    assert not Path("big.zip").exists()


def test_a_mistake_has_exit_code_2_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert synth("--rows", "10") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("matinee: --rows 10: fewer than the 108 events of log")
