"""Servers that a replay starts by itself, and those it is led to: looked at before anything is sent, gone after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from matinee.errors import ModelMismatchError, ReplayError, UsageError
from matinee.model.checkpoint import WEIGHTS
from matinee.replay.address import Address
from matinee.replay.against import Against
from matinee.replay.folder import choose
from matinee.replay.journal import asked_records, told_records
from matinee.replay.plan import Arrivals
from matinee.replay.servers import look_at
from matinee.replay.stage import play
from matinee.serve.board import Board
from matinee.stack import running
from played import plan_of, records
from recording_server import RecordingServer
from served import wait_until
from served_models import Models
from small_version import small_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.stack import Stack
    from matinee.version import Version

pytestmark = pytest.mark.xdist_group("stack")

_PLAY = """
import sys
from pathlib import Path
from matinee.replay.against import Against
from matinee.replay.plan import Arrivals
from matinee.replay.stage import play
from matinee.version import open_version
from played import ARM, plan_of
version, model, data_dir, out = map(Path, sys.argv[1:])
version = open_version(version)
plan = plan_of(version, arrivals=Arrivals(rate=60))
play(version, plan, [Against.model(ARM, model)], data_dir=data_dir, out=out)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Postgres that stays up between the tests of this module; its folder is `data_dir`."""
    with running(tmp_path_factory.mktemp("servers") / "data", ["postgres"]) as stack:
        yield stack


@pytest.fixture
def data_dir(stack: Stack) -> Path:
    return stack.data_dir


def test_two_models_are_played_through_servers_of_their_own(
    stack: Stack, data_dir: Path, models: dict[str, Path], version: Version
) -> None:
    arms = [Against.model("", models["plain"]), Against.model("primed", models["markov"])]
    plan = plan_of(version, limit=30)
    played = play(version, plan, arms, data_dir=data_dir)
    assert played.folder.parent == data_dir / "replays" / version.name
    assert played.record.id == played.folder.name
    assert [arm.name for arm in played.record.arms] == ["markov", "primed"], "by its own name where it is given none"
    for arm in played.record.arms:
        assert asked_records(played.folder, arm.name, 10)["outcome"].tolist() == [0] * 30
        assert arm.log == f"{version.name}/{played.record.id}-{arm.name}"
        assert (played.folder / f"{arm.name}.server.log").read_text() == ""
        assert _told(stack, arm.log) == [*range(30)]
    assert not [*Board.all(data_dir / "serve")], "all are stopped"
    again = play(version, plan, arms[::-1], data_dir=data_dir)
    assert (again.folder, again.stream) == (played.folder, None), "in whatever order, it is the same replay"
    fingerprint = played.record.id.rpartition("-")[2]
    assert choose(played.folder.parent, fingerprint, None, again=False) == played.folder
    assert not choose(played.folder.parent, fingerprint, None, again=True).exists()


def test_a_killed_replay_takes_its_server_along_and_goes_on_with_another(
    stack: Stack, data_dir: Path, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    folder = tmp_path / "replay"
    client = subprocess.Popen(
        [sys.executable, "-c", _PLAY, version.folder, models["markov"], data_dir, folder],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    wait_until(lambda: records(folder, "told") >= 20 or client.poll() is not None, timeout_s=60)
    assert len([*Board.all(data_dir / "serve")]) == 1
    client.send_signal(signal.SIGKILL)
    client.wait(30)
    wait_until(lambda: not [*Board.all(data_dir / "serve")])
    plan = plan_of(version, arrivals=Arrivals(rate=60))
    played = play(version, plan, [Against.model("it", models["markov"])], data_dir=data_dir, out=folder)
    (arm,) = played.record.arms
    assert len(played.record.sessions) == 2
    assert _told(stack, arm.log) == [*range(len(told_records(folder, "it")))]
    assert {*asked_records(folder, "it", 10)["session"].tolist()} == {0, 1}


def test_a_server_that_does_not_start_ends_in_a_line_with_its_words(
    data_dir: Path, version: Version, tmp_path: Path
) -> None:
    folder, out = Models(version, tmp_path)["plain"], tmp_path / "replay"
    (folder / WEIGHTS).write_bytes(b"what is this?")
    with pytest.raises(
        ReplayError, match=r"arm it: its server did not start: .*SHA-256.*train again \(.*server\.log\)"
    ):
        play(version, plan_of(version), [Against.model("it", folder)], data_dir=data_dir, out=out)
    assert [path.name for path in out.iterdir()] == ["it.server.log"], "its words are all that is left"
    assert choose(tmp_path, "any", out, again=False) == out, "the same command may try again there"
    (out / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds something, but no replay"):
        choose(tmp_path, "any", out, again=False)


def test_a_model_of_other_ids_is_refused_before_anything_is_started(models: dict[str, Path], tmp_path: Path) -> None:
    other = small_version(tmp_path / "other", [(user, 1 + user % 3, user * 10) for user in range(1, 30)])
    with pytest.raises(ModelMismatchError, match="was trained on"):
        play(other, plan_of(other), [Against.model("", models["plain"])], data_dir=tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arms", "words"),
    [([], "whom to replay against is missing"), (["a", "b", "a"], "two arms are called a")],
)
def test_arms_can_be_told_from_each_other(arms: list[str], words: str, version: Version, tmp_path: Path) -> None:
    against = [Against(name, url="http://127.0.0.1:1") for name in arms]
    with pytest.raises(UsageError, match=words):
        play(version, plan_of(version), against, data_dir=tmp_path)


def test_servers_without_a_process_are_refused_before_anything_is_started(version: Version, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers is 0, expected 1 or more"):
        play(version, plan_of(version), [Against("it", url="http://127.0.0.1:1")], data_dir=tmp_path / "d", workers=0)
    assert not (tmp_path / "d").exists()


def test_a_library_that_is_missing_is_named(version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(ReplayError, match=r"a replay needs uvloop; pip install 'matinee\[serve\]'"):
        play(version, plan_of(version), [Against("it", url="http://127.0.0.1:1")], data_dir=tmp_path)


def test_somebody_else_at_the_address_is_told_from_a_server_of_ours(tmp_path: Path, version: Version) -> None:
    def behave(request: Any) -> Any:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello" if request.path == "/readyz" else 404

    with RecordingServer(behave) as server:
        against = [Against("it", url=server.url)]
        with pytest.raises(ReplayError, match=r"arm it: http.*/readyz says 200, expected a server of 'matinee serve'"):
            play(version, plan_of(version), against, data_dir=tmp_path)
        assert not [*tmp_path.glob("replays/*/*")]


def test_a_server_that_wants_a_token_is_said() -> None:
    with RecordingServer(lambda _: 401) as server, pytest.raises(ReplayError, match=r"wants a token; .* --token-file"):
        look_at("it", Address.of(server.url), None)


def test_the_title_is_the_servers_own_and_the_token_is_shown() -> None:
    with RecordingServer() as server:
        assert look_at("it", Address.of(f"{server.url}/below"), "secret") == "toy@0"
        assert server.requests[0].headers["authorization"] == "Bearer secret"
        assert server.requests[0].path == "/below/readyz"


def _told(stack: Stack, log: str) -> list[int]:
    with psycopg.connect(stack.postgres_url) as connection:
        rows = connection.execute(
            "SELECT told.number FROM told_events told JOIN datasets ON told.dataset = datasets.number "
            "WHERE datasets.name = %s ORDER BY told.number",
            (log,),
        ).fetchall()
    return [number for (number,) in rows]
