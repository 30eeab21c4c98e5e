"""The benchmark of training runs, at a size that says nothing about speed or quality."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import train

_SCRIPT = Path(train.__file__)
_PEERS = _SCRIPT.parents[1] / ".venv-peers" / "bin" / "python"


@pytest.fixture
def games(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    log = tmp_path / "games.txt"
    rows = [f"{user} {item}\n" for user in range(1, 81) for item in random.permutation(40)[: random.integers(3, 9)] + 1]
    log.write_text("".join(rows))
    return log


def _run(tmp_path: Path, games: Path, *more: str) -> subprocess.CompletedProcess[str]:
    folders = ["--games", games, "--dir", tmp_path / "runs", "--results", tmp_path / "results"]
    return subprocess.run(
        [sys.executable, _SCRIPT, *folders, "--seeds", "0", "--minutes", "0.02", *more],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


def test_ours_and_a_peer_on_one_split(tmp_path: Path, games: Path) -> None:
    asked = ("--part", "games-full", "--ways", "padded", "matinee")
    done = _run(tmp_path, games, *asked)
    assert done.stderr == ""
    result = json.loads((tmp_path / "results" / "train-games-full.json").read_text())
    assert {run["way"] for run in result["runs"]} == {"matinee sse-pt", "padded, our sizes"}
    assert {run["judged"]["leave-one-out, full ranking"]["events"] for run in result["runs"]} == {80}
    assert str(tmp_path) not in json.dumps(result), "a path of this machine in what is committed"
    for run in result["runs"]:
        assert run["way"] in done.stdout
        assert run["trained_s"] > 0
    again = _run(tmp_path, games, *asked)
    assert again.stdout.count("is there already") == 2
    assert json.loads((tmp_path / "results" / "train-games-full.json").read_text()) == result


@pytest.mark.skipif(not _PEERS.exists(), reason="RecBole and RecTools are not there; make .venv-peers/.installed")
def test_recbole_and_rectools(tmp_path: Path, games: Path) -> None:
    done = _run(tmp_path, games, "--part", "games-full", "--ways", "recbole, our", "rectools, our")
    assert done.returncode in {0, 1}, done.stderr
    result = json.loads((tmp_path / "results" / "train-games-full.json").read_text())
    assert {run["way"] for run in result["runs"]} == {"recbole, our sizes", "rectools, our sizes"}
    for run in result["runs"]:
        assert run["sequences_per_s"] > 0
        assert run["judged"]["leave-one-out, full ranking"]["metrics"]["ndcg@10"] > 0


def test_without_games_nothing_is_run(tmp_path: Path) -> None:
    done = _run(tmp_path, tmp_path / "nowhere.txt", "--part", "games")
    assert "nowhere.txt: not there, so games is skipped; name the log of Games with --games" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_run_replaces_one_of_the_same_data_way_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "train-x.json"
    for seed, value in ((1, 10), (0, 20), (1, 30)):
        train.remember(path, {"data": "games", "way": "padded", "seed": seed, "value": value})
    found = [(run["seed"], run["value"]) for run in json.loads(path.read_text())["runs"]]
    assert found == [(0, 20), (1, 30)]
