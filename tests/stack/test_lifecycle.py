"""Small stacks of one or two services, for real: users who come and go, and what is said when a thing is in the way."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import matinee
from matinee.cli import main
from matinee.errors import DiskFullError, ServiceError, UsageError
from matinee.stack import running
from matinee.stack.endpoint import Endpoint
from matinee.stack.folders import Folders
from matinee.stack.s3 import is_healthy, make_bucket, running_s3
from matinee.stack.signing import send_signed
from matinee.stack.state import StackState
from matinee.stack.stop import kept
from matinee.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "it's 100% data; #1"
    matinee.down(data_dir=tmp_path / "it's 100% data; #1")


class Said:
    """Remembers every line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, phase: str, total: int | None, unit: str) -> None: ...

    def advance(self, amount: int) -> None: ...

    def finish(self, note: str = "") -> None: ...

    def say(self, line: str) -> None:
        self.lines.append(line)


def up_now(data_dir: Path) -> set[str]:
    return {name for name, info in Supervisor(Folders.of(data_dir)).states().items() if info.is_up}


def test_a_block_starts_what_is_missing_and_leaves_what_was_asked_for(data_dir: Path) -> None:
    matinee.up(["s3"], data_dir=data_dir)
    with running(data_dir, ["postgres"]) as outer:
        assert set(outer.services) == {"s3", "postgres"}
        with running(data_dir, ["s3", "postgres"]):
            pass
        assert up_now(data_dir) == {"s3", "postgres"}, "another still uses them"
    assert up_now(data_dir) == {"s3"}
    assert matinee.down(data_dir=data_dir)
    with running(data_dir, ["s3"]):
        assert up_now(data_dir) == {"s3"}
    assert not matinee.status(data_dir=data_dir).running
    assert not matinee.down(data_dir=data_dir)


def test_what_a_killed_user_left_is_taken_down(data_dir: Path) -> None:
    code = (
        "import sys, time; from matinee.stack import running\n"
        "with running(sys.argv[1], ['s3']): print('up', flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code, data_dir], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "up\n"
        user.kill()
    deadline_s = time.monotonic() + 60
    while matinee.status(data_dir=data_dir).running:
        assert time.monotonic() < deadline_s
        time.sleep(0.5)


def test_a_taken_port_is_named_and_exchanged(data_dir: Path) -> None:
    said = Said()
    first = matinee.up(["postgres"], data_dir=data_dir, progress=said)
    matinee.down(data_dir=data_dir)
    port = int(first.postgres_address.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        second = matinee.up(["postgres"], data_dir=data_dir, progress=said)
    assert second.postgres_address != first.postgres_address
    (line,) = [line for line in said.lines if "taken" in line]
    assert line.startswith(f"Postgres 18: port {port} is taken by ")


def test_other_machines_reach_s3_through_its_door_alone(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--data-dir", str(data_dir)]
    assert main(["up", "s3", "--listen", "0.0.0.0", *place]) == 0
    assert "Open to everybody who reaches 0.0.0.0:\n  S3, port" in capsys.readouterr().out
    state = StackState.read(Folders.of(data_dir).state)
    assert state is not None
    door = Endpoint(f"http://127.0.0.1:{state.s3_open_port}", state.s3_access_key, state.s3_secret_key)
    assert is_healthy(door)
    make_bucket(door, "through")
    assert send_signed(state.s3, "HEAD", "/through", timeout_s=5).is_success
    assert send_signed(Endpoint(door.url, "x", "y"), "GET", "/", timeout_s=5).status_code == 403
    with pytest.raises(UsageError, match=r"listens on 0\.0\.0\.0; run 'matinee down' first"):
        matinee.up(["s3"], data_dir=data_dir, listen="127.0.0.1")
    matinee.down(data_dir=data_dir)
    assert matinee.up(["s3"], data_dir=data_dir).opened == ()
    assert not is_healthy(door)


def test_one_that_does_not_come_up_is_quoted(data_dir: Path) -> None:
    config = Folders.of(data_dir).jupyter / ".jupyter" / "jupyter_server_config.py"
    config.parent.mkdir(parents=True)
    config.write_text("import os\nprint('the stage is on fire', flush=True)\nos._exit(3)\n")
    with pytest.raises(ServiceError, match=r"JupyterLab: does not come up \(.*the stage is on fire\); all of it in /"):
        matinee.up(["jupyter"], data_dir=data_dir)
    assert kept(Folders.of(data_dir)) == {"jupyter"}
    (jupyter,) = [service for service in matinee.status(data_dir=data_dir).services if service.name == "jupyter"]
    assert jupyter.state in {"failing", "starting"}
    config.unlink()  # it is tried again and again, and comes back by itself
    matinee.up(["jupyter"], data_dir=data_dir)


def test_a_store_of_an_older_matinee_goes_on(data_dir: Path) -> None:
    with running_s3(data_dir / "s3", bucket="kept") as old:
        pass
    with running(data_dir, ["s3"]) as stack:
        assert (stack.s3.access_key, stack.s3.secret_key) == (old.access_key, old.secret_key)
        assert send_signed(stack.s3, "HEAD", "/kept", timeout_s=5).is_success
    assert not (data_dir / "s3").exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (json.dumps({"format": 9}), "format 9, this Matinee knows up to 1; upgrade Matinee"),
        ("{", "put it back from a copy"),
        (json.dumps({"format": 1}), "put it back from a copy"),
    ],
)
def test_a_state_that_cannot_be_read_is_left_as_it_is(
    content: str, line: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir.mkdir()
    (data_dir / "stack.json").write_text(content)
    for words in (["up"], ["status"], ["credentials"]):
        assert main([*words, "--data-dir", str(data_dir)]) == 1
        err = capsys.readouterr().err
        assert err.startswith("matinee: ")
        assert line in err
        assert err.count("\n") == 1
    assert (data_dir / "stack.json").read_text() == content
    (data_dir / "stack.json").unlink()


def test_a_newer_postgres_is_refused(data_dir: Path) -> None:
    (data_dir / "postgres_data").mkdir(parents=True)
    (data_dir / "postgres_data" / "PG_VERSION").write_text("19\n")
    with pytest.raises(ServiceError, match="data of Postgres 19, expected 18"):
        matinee.up(["postgres"], data_dir=data_dir)


def test_what_is_in_the_way_is_said(data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cabaret: no such service; there are s3, postgres, mlflow, jupyter"):
        matinee.up(["cabaret"], data_dir=data_dir)
    with pytest.raises(UsageError, match="no stack runs here; 'matinee up' starts it"):
        matinee.restart(data_dir=data_dir)
    with pytest.raises(UsageError, match="no stack was ever started here"):
        matinee.credentials(data_dir=data_dir)
    with pytest.raises(UsageError, match=r"no such service; there are .*supervisord"):
        matinee.logs("cabaret", data_dir=data_dir)
    with pytest.raises(UsageError, match="no logs; 'matinee up' starts the stack"):
        matinee.logs(data_dir=tmp_path / "nothing")
    for address in ("example.org", "192.0.2.77"):
        with pytest.raises(UsageError, match=f"--listen {address}: not an"):
            matinee.up(data_dir=data_dir, listen=address)
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="cannot hold the stack"):
        matinee.up(data_dir=tmp_path / "file" / "data")
    with monkeypatch.context() as patch:
        patch.setattr("matinee.stack.folders._NEEDED_BYTES", 1 << 60)
        with pytest.raises(DiskFullError, match=r"MB free, the stack needs .* MB to start"):
            matinee.up(data_dir=data_dir)
    monkeypatch.setattr("matinee.stack.start.importlib.util.find_spec", lambda name: None if name == "mlflow" else 1)
    with pytest.raises(ServiceError, match=r"mlflow is not installed; 'pip install matinee\[stack\]'"):
        matinee.up(data_dir=data_dir)
