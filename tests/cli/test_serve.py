"""`matinee serve` and `matinee promote` as they are typed: a real server with a Postgres of its own data folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from matinee.cli import main
from matinee.model.popularity import Popularity, PopularitySettings
from matinee.model.recommender import Known
from matinee.processes import end
from served import save
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("stack")


def test_serve_ask_tell_promote_stop_and_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = small_version(tmp_path / "log", [(user, 10 + user % 4, 100 + user) for user in range(1, 40)])
    known = Known(version.known_users, version.known_items)
    model = save(tmp_path / "popularity", Popularity(PopularitySettings(), known), version)
    data = str(tmp_path / "data")
    serving = [sys.executable, "-m", "matinee", "serve", str(model), "--version", str(version.folder), "--port", "0"]
    process = subprocess.Popen([*serving, "--data-dir", data, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(3)]
        url = json.loads("".join(lines))["url"]
        told = httpx.post(f"{url}/v1/events", json={"user": 1, "item": 12}, trust_env=False)
        assert told.json() == {"new": 1, "known": 0}
        answer = httpx.post(f"{url}/v1/recommend", json={"user": 2, "k": 2}, trust_env=False).json()
        assert answer["model"].startswith("popularity@")
        assert main(["promote", str(model), "--data-dir", data]) == 0
        assert f"{url} answers with popularity@" in capsys.readouterr().out
        assert main(["promote", str(tmp_path), "--data-dir", data]) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        process.stdout.close()
    finally:
        end(process, patience_s=30)
    assert main(["promote", str(model), "--data-dir", data]) == 2
    assert "no server runs here" in capsys.readouterr().err
    assert main(["data", "from-events", str(version.folder), "--past", "test", "--data-dir", data, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "would come; nothing was written" in said
    assert "1 events of log, up to place 1" in said
    assert main(["data", "from-events", str(version.folder), "--past", "test", "--data-dir", data, "--json"]) == 0
    following = json.loads(capsys.readouterr().out)
    assert (following["told"], following["events"], following["new_users"]) == (1, 40, 0)
    assert (tmp_path / "data" / "versions" / "log" / following["version"] / "manifest.json").is_file()


def test_without_a_model_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--data-dir", str(tmp_path)]) == 1
    assert "no trained model yet; run 'matinee train'" in capsys.readouterr().err
