from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import etl
import report

_WRITE = "import sys, pathlib; o = pathlib.Path(sys.argv[1]); o.mkdir(); [(o / n).write_text({text!r}) for n in 'abc']"


def _way(folder: Path, name: str, text: str) -> etl.Way:
    out = folder / name
    command = [sys.executable, "-S", "-c", _WRITE.format(text=text), str(out)]
    return etl.Way(name, command, out, tuple(out / part for part in "abc"))


def test_ways_that_agree_are_measured_and_cleaned_away(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1,2")
    ways = [_way(tmp_path, "one", "1\t1\n"), _way(tmp_path, "other", "1\t1\n")]
    runs, hashes = etl.compare(ways, log, 2, lambda *_: None)
    assert {name: len(usages) for name, usages in runs.items()} == {"one": 2, "other": 2}
    assert set(hashes) == {"train", "eval", "test"}
    assert list(tmp_path.glob("o*")) == []


def test_other_bytes_end_the_comparison(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1,2")
    with pytest.raises(etl.DifferentOutputError, match=r"other gave .* as one did"):
        etl.compare([_way(tmp_path, "one", "1\t1\n"), _way(tmp_path, "other", "1\t2\n")], log, 1, lambda *_: None)


def test_the_log_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = etl.ensure_log(tmp_path, 300, "time", 3, half_in_one_hour=True)
    assert len(log.read_text().splitlines()) == 301
    monkeypatch.setattr(subprocess, "run", pytest.fail)
    assert etl.ensure_log(tmp_path, 300, "time", 3, half_in_one_hour=True) == log


def test_the_whole_comparison(tmp_path: Path) -> None:
    pytest.importorskip("polars", reason="comes with the extra 'bench'")
    page = tmp_path / "page.md"
    page.write_text(f"{report.START}\n{report.END}\n")
    command = [sys.executable, str(Path(etl.__file__)), "--rows", "3e3", "--rounds", "1", "--peers", "polars"]
    command += ["--memory-limit", "64MB", "--dir", "runs", "--results", "results", "--docs", "page.md"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    result = json.loads((tmp_path / "results" / "etl-3000.json").read_text())
    assert set(result["ways"]) == {"matinee-text-64MB", "matinee-full-64MB", "matinee-lean-64MB", "polars"}
    assert [len(usages) for usages in result["runs"].values()] == [1, 1, 1, 1]
    assert "### 3,000 rows" in done.stdout
    assert "### 3,000 rows" in page.read_text()
    assert str(tmp_path) not in json.dumps(result), "a path of this machine in what is committed"
