"""The benchmark of the database runs, at a size that says nothing about speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "database.py"


@pytest.mark.xdist_group("postgres")
def test_it_measures_every_way_in_every_round(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    size = ["--users", "300", "--items", "200", "--events", "1000", "--rounds", "2"]
    done = subprocess.run(
        [sys.executable, _SCRIPT, *size, "--dir", tmp_path, "--results", results],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode in {0, 1}  # so few rows reach no bar
    result = json.loads(results.read_text())
    assert result["rows"] == 500
    assert {len(seconds) for seconds in result["seconds"].values()} == {2}
    assert set(result["rows_per_s"]) == {
        "fill", "fill with scan of all events", "psql \\copy, bare table", "psql \\copy, then like indexes",
    }  # fmt: skip
    for way in result["rows_per_s"]:
        assert way in done.stdout
    assert min(result["told"].values()) > 0
