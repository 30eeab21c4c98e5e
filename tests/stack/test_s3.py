"""The embedded S3, for real: who gets in, what it survives, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from matinee.errors import ServiceError
from matinee.processes import birth_of, is_same
from matinee.stack.s3 import find_s3, make_bucket, running_s3, start_s3, stop_s3
from matinee.stack.signing import send_signed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "s3"
    stop_s3(tmp_path / "s3")


def pid_of(folder: Path) -> int:
    return int(json.loads((folder / "process.json").read_text())["pid"])


def test_nobody_gets_in_without_the_keys(folder: Path) -> None:
    with running_s3(folder, bucket="ratings") as endpoint:
        assert endpoint.secret_key not in repr(endpoint)
        with httpx.Client(base_url=endpoint.url, trust_env=False) as stranger:
            assert stranger.put("/ratings/key", content=b"x").status_code == 403
            assert stranger.put("/another-bucket").status_code == 403
            assert stranger.get("/").status_code == 403
            assert stranger.get("/ratings").status_code == 403
            assert stranger.delete("/ratings").status_code == 403
        wrong = type(endpoint)(endpoint.url, endpoint.access_key, "wrong" * 6)
        assert send_signed(wrong, "GET", "/", timeout_s=5).status_code == 403
        with pytest.raises(ServiceError, match="403"):
            make_bucket(wrong, "other")
        assert send_signed(endpoint, "HEAD", "/ratings", timeout_s=5).is_success
        make_bucket(endpoint, "ratings")
    assert find_s3(folder) is None


def test_it_listens_on_the_loopback_only_and_hides_its_keys(folder: Path) -> None:
    with running_s3(folder) as endpoint:
        inodes = {
            str(path.readlink())[8:-1] for path in Path(f"/proc/{pid_of(folder)}/fd").iterdir() if _is_socket(path)
        }
        listening = [
            fields[1]
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if (fields := line.split())[9] in inodes and fields[3] == "0A"
        ]
        assert len(listening) >= 8
        assert {address.partition(":")[0] for address in listening} == {"0100007F"}
        argv = Path(f"/proc/{pid_of(folder)}/cmdline").read_text()
        assert endpoint.secret_key not in argv
        for path in (folder / "endpoint.json", folder / "identities.json", folder / "weed.options"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _is_socket(path: Path) -> bool:
    try:
        return str(path.readlink()).startswith("socket:")
    except OSError:
        return False


def test_starting_twice_is_starting_once_and_kill_9_keeps_the_bucket(folder: Path) -> None:
    endpoint = start_s3(folder, bucket="kept")
    pid = pid_of(folder)
    assert start_s3(folder, bucket="second") == endpoint
    with running_s3(folder) as used:
        assert used == endpoint
    assert find_s3(folder) == endpoint  # running_s3 found it running, and left it so
    assert pid_of(folder) == pid
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert find_s3(folder) is None
    assert start_s3(folder) == endpoint
    assert pid_of(folder) != pid
    for bucket in ("kept", "second"):
        assert send_signed(endpoint, "HEAD", f"/{bucket}", timeout_s=5).is_success
    ports = json.loads((folder / "endpoint.json").read_text())["ports"].values()
    assert stop_s3(folder)
    assert not stop_s3(folder)
    assert [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")] == []


def test_a_stale_pid_is_not_taken_for_the_service(folder: Path) -> None:
    folder.mkdir()
    (folder / "process.json").write_text(json.dumps({"pid": os.getpid(), "birth": "1"}))
    assert find_s3(folder) is None
    assert not stop_s3(folder)


def test_a_taken_port_is_exchanged_and_the_data_stays(folder: Path) -> None:
    with running_s3(folder, bucket="kept") as first:
        pass
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(first.url.rpartition(":")[2])))
        other.listen()
        with running_s3(folder) as second:
            assert second.url != first.url
            assert (second.access_key, second.secret_key) == (first.access_key, first.secret_key)
            assert send_signed(second, "HEAD", "/kept", timeout_s=5).is_success


def test_it_ends_with_the_process_that_wanted_it_so(folder: Path) -> None:
    code = "import sys, time; from pathlib import Path; from matinee.stack.s3 import start_s3; "
    code += "start_s3(Path(sys.argv[1]), survive=False); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        pid = pid_of(folder)
        owner.kill()
    wait_until_gone(pid)


def test_a_failure_quotes_the_log(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho the volume is on fire\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("matinee.stack.s3._weed_path", lambda: broken)
    with pytest.raises(ServiceError, match=r"ended with 3 \(the volume is on fire"):
        start_s3(folder)


def test_unreadable_keys_are_not_replaced(folder: Path) -> None:
    folder.mkdir()
    (folder / "endpoint.json").write_text("{")
    with pytest.raises(ServiceError, match="put it back"):
        start_s3(folder)
    assert (folder / "endpoint.json").read_text() == "{"
    (folder / "endpoint.json").unlink()  # so that the fixture can stop what does not run


def wait_until_gone(pid: int) -> None:
    birth = birth_of(pid)
    deadline_s = time.monotonic() + 20
    while is_same(pid, birth):
        assert time.monotonic() < deadline_s, "it does not end"
        time.sleep(0.02)
