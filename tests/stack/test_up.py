"""A whole stack, for real: what it offers, who gets in, and what starting, stopping and using it twice does."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import psycopg
import pytest

import matinee
from matinee.cli import main
from matinee.stack.folders import Folders
from matinee.stack.services import SERVICES
from matinee.stack.signing import send_signed
from matinee.stack.state import StackState
from matinee.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from matinee.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


def test_all_services_are_there(stack_service: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack = stack_service
    assert main(["status", "--json", "--data-dir", str(stack.data_dir)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {service["name"]: service["state"] for service in told["services"]} == dict.fromkeys(SERVICES, "healthy")
    assert all(service["memory_bytes"] > 1_000_000 for service in told["services"])
    with psycopg.connect(stack.postgres_url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("matinee",)
    for bucket in ("matinee", "mlflow"):
        assert send_signed(stack.s3, "HEAD", f"/{bucket}", timeout_s=5).is_success


def test_nobody_gets_in_without_what_lets_in(stack_service: Stack) -> None:
    stack = stack_service
    right = psycopg.conninfo.conninfo_to_dict(stack.postgres_url)
    for password in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(**right | {"password": password})
    with httpx.Client(trust_env=False, timeout=20) as client:
        assert client.get(f"{stack.jupyter_address}/api/contents").status_code == 403
        assert client.post(f"{stack.jupyter_address}/api/kernels?token=wrong").status_code == 403
        assert client.get(f"{stack.mlflow_url}/", headers={"Host": "evil.example"}).status_code == 403
        assert client.get(f"{stack.mlflow_url}/").is_success


def test_no_secret_is_where_others_see_it(stack_service: Stack) -> None:
    folders = Folders(stack_service.data_dir)
    closed = (folders.state, folders.run, folders.logs, folders.postgres, folders.s3, folders.jupyter)
    for path in (*closed, folders.run / "supervisor.sock"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    state = StackState.read(folders.state)
    assert state is not None
    supervisor = psutil.Process(Supervisor(folders).pid)
    argv = [" ".join(process.cmdline()) for process in [supervisor, *supervisor.children(recursive=True)]]
    assert len(argv) > 8
    logs = [path.read_text(errors="replace") for path in folders.logs.iterdir()]
    for secret in (state.postgres_password, state.s3_secret_key, state.jupyter_token):
        assert not [text for text in [*argv, *logs, repr(state), repr(stack_service)] if secret in text]


def test_all_listen_on_the_loopback_and_postgres_is_not_root(stack_service: Stack) -> None:
    supervisor = psutil.Process(Supervisor(Folders(stack_service.data_dir)).pid)
    listening = [
        (process.name(), connection.laddr.ip)
        for process in supervisor.children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {"weed", "postgres"} <= {name for name, _ in listening}
    assert {address for _, address in listening} == {"127.0.0.1"}
    assert all(
        process.uids().real != 0 for process in supervisor.children(recursive=True) if process.name() == "postgres"
    )


def test_up_twice_and_at_once_is_up_once(stack_service: Stack) -> None:
    before = pids(stack_service)
    words = [sys.executable, "-m", "matinee", "up", "--json", "--data-dir", str(stack_service.data_dir)]
    ups = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for up in ups:
        out, err = up.communicate(timeout=120)
        assert up.returncode == 0, err
        assert json.loads(out)["mlflow"] == stack_service.mlflow_url
    assert pids(stack_service) == before


def test_restart_is_another_process_at_the_same_address(
    stack_service: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pids(stack_service)
    assert main(["restart", "jupyter", "--data-dir", str(stack_service.data_dir)]) == 0
    assert f"JupyterLab  {stack_service.jupyter_address}\n" in capsys.readouterr().out
    after = pids(stack_service)
    assert {name for name in SERVICES if after[name] != before[name]} == {"jupyter"}


def test_logs_have_a_name_a_line(stack_service: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--data-dir", str(stack_service.data_dir)]
    assert main(["logs", "--lines", "2", *place]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= {"postgres", "jupyter", "supervisord"}
    assert main(["logs", "postgres", "--json", "--lines", "1", *place]) == 0
    assert json.loads(capsys.readouterr().out)["service"] == "postgres"
    with Folders(stack_service.data_dir).log("s3").open("a") as log:
        log.write("the last line\n")
    with subprocess.Popen(
        [sys.executable, "-m", "matinee", "logs", "s3", "-f", "--lines", "1", *place], stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        seen = [follower.stdout.readline()]
        with Folders(stack_service.data_dir).log("s3").open("a") as log:
            log.write("and one more\n")
        while "and one more\n" not in seen:
            seen.append(follower.stdout.readline())
        follower.terminate()


def test_credentials_are_shown_when_asked_for(stack_service: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["credentials", "--json", "--data-dir", str(stack_service.data_dir)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["postgres_url"] == stack_service.postgres_url
    assert told["jupyter_url"] == stack_service.jupyter_url
    assert told["s3"]["secret_key"] == stack_service.s3.secret_key
    with httpx.Client(trust_env=False, timeout=20, follow_redirects=True) as client:
        assert client.get(told["jupyter_url"]).is_success


def test_a_notebook_finds_the_stack(stack_service: Stack) -> None:
    pid = pids(stack_service)["jupyter"]
    environment = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry
    )
    assert environment["MATINEE_DATA_DIR"] == str(stack_service.data_dir)
    assert environment["MLFLOW_TRACKING_URI"] == stack_service.mlflow_url
    assert Path(f"/proc/{pid}/cwd").readlink() == stack_service.data_dir / "jupyter"


def pids(stack: Stack) -> dict[str, int]:
    told = matinee.status(data_dir=stack.data_dir)
    return {service.name: service.pid or 0 for service in told.services}
