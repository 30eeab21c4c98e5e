"""`matinee replay` as it is typed: what would be played, what cannot be, and what comes of a replay that is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matinee.cli import main
from recording_server import RecordingServer, answer
from served_models import changing_version

if TYPE_CHECKING:
    from typing import Any

    from matinee.version import Version


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """See `changing_version`."""
    return changing_version(tmp_path_factory.mktemp("replay"))


def test_a_dry_run_says_what_would_be_played_and_sends_nothing(
    version: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    with RecordingServer() as server:
        words = [
            "replay",
            str(version.folder),
            "--arm",
            f"it={server.url}",
            "--limit",
            "50",
            "--rate",
            "10",
            "--dry-run",
        ]
        assert main(words) == 0
        out = capsys.readouterr().out
        assert "50 events of" in out
        assert "arrivals  4.9 s" in out
        assert f"arm it    {server.url}" in out
        assert main([*words, "--json"]) == 0
        preview = json.loads(capsys.readouterr().out)
        assert (preview["events"], preview["lasts_s"], preview["arms"]) == (50, 4.9, {"it": server.url})
        assert not server.requests
    assert not Path("matinee-data").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "whom to replay against is missing: give --against or --arm"),
        (["--arm", "http://x"], "arm 'http://x': expected NAME=URL or NAME=MODEL"),
        (["--arm", "A=http://x"], "arm 'A': a name has up to 32 of a-z"),
        (["--against", "http://x", "--arm", "server=http://y"], "two arms are called server"),
        (["--against", "http://x", "--rate", "5", "--as-fast-as-possible"], "excludes a speed and a rate"),
        (["--against", "http://x", "--rate", "5", "--speed", "5"], "come from the log or from a rate"),
        (["--against", "http://x", "--max-gap", "5"], "belongs to speed"),
        (["--against", "http://x", "--k", "0"], "k is 0, expected 1 or more"),
        (["--against", "http://x", "--from", "soon"], "expected a date like 1998-03-08, or Unix seconds"),
        (["--against", "http://x", "--from", "2200-01-01", "--dry-run"], "no event of eval is asked about"),
        (["--against", "http://u:p@x"], "an address has no user, query or fragment"),
        (["--against", "http://x", "--token-file", "nowhere"], "nowhere: cannot be read as a token"),
    ],
)
def test_a_call_that_is_wrong_is_answered_in_a_line(
    words: list[str], line: str, version: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(version.folder), *words]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.startswith("matinee: ")
    assert err.count("\n") == 1


def test_a_replay_from_the_first_word_to_the_report(version: Version, capsys: pytest.CaptureFixture[str]) -> None:
    behave = _knowing(version)
    with RecordingServer(behave) as server:
        words = ["replay", str(version.folder), "--against", server.url, "--limit", "40", "--no-track"]
        assert main(words) == 0
        out = capsys.readouterr().out
        assert "toy@0" in out
        (page,) = [line.removeprefix("Report: ") for line in out.splitlines() if line.startswith("Report: ")]
        assert Path(page).is_file()
        assert sorted(server.told) == [*range(40)]
        before = len(server.requests)
        assert main([*words, "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["fresh"], result["report"]["arms"]["server"]["told"]) == (False, 40)
        assert len(server.requests) == before, "what is finished is not done again"
        server.told.clear()
        assert main([*words, "--again", "--json"]) == 0
        again = json.loads(capsys.readouterr().out)
        assert (again["fresh"], again["id"] == result["id"]) == (True, False)


def _knowing(version: Version) -> Any:
    """A server that knows everybody's history of train, and no more."""
    trained = version.sequences("train")
    events = {str(raw): int(trained.of(dense).size) for dense, raw in enumerate(version.raw_users.tolist(), 1)}

    def behave(request: Any) -> bytes | bool:
        if "/history" in request.path:
            user = request.path.split("/")[-2]
            return answer({"user": user, "known": True, "events": events[user], "items": []})
        return True

    return behave
