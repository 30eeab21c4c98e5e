"""Every process of a real stack killed in turn, while runs are logged, rows inserted and versions published."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

import matinee
from matinee.errors import StoreError
from matinee.processes import birth_of, is_same
from matinee.stack.folders import Folders
from matinee.stack.services import SERVICES
from matinee.stack.state import StackState
from matinee.stack.supervisor import Supervisor
from matinee.store import open_store, verify
from matinee.store import publish as publish_version
from toy_version import make_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matinee.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")
_PATIENCE_S = 60


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    yield matinee.up(data_dir=tmp_path / "data")
    matinee.down(data_dir=tmp_path / "data")


class Writer(threading.Thread):
    """Does one thing over and over; remembers what it was told is done, and shrugs at what fails."""

    def __init__(self, write: Callable[[int], Any], failures: tuple[type[Exception], ...], pause_s: float) -> None:
        super().__init__(daemon=True)
        self._write, self._failures, self._pause_s = write, failures, pause_s
        self._over = threading.Event()
        self.acknowledged: list[Any] = []
        self.refused = 0

    def run(self) -> None:
        for number in count():
            if self._over.is_set():
                return
            try:
                self.acknowledged.append(self._write(number))
            except self._failures:
                self.refused += 1
            time.sleep(self._pause_s)  # what is written is read back one by one in the end

    def stop(self) -> None:
        self._over.set()
        self.join(_PATIENCE_S)
        assert not self.is_alive()


def test_all_recover_and_nothing_acknowledged_is_lost(stack: Stack, tmp_path: Path) -> None:
    folders, supervisor = Folders(stack.data_dir), Supervisor(Folders(stack.data_dir))
    with (
        httpx.Client(base_url=stack.mlflow_url, trust_env=False, timeout=20) as mlflow,
        open_store("s3://matinee", endpoint=stack.s3.url, access_key=stack.s3.access_key,
                   secret_key=stack.s3.secret_key) as store,
    ):  # fmt: skip
        writers = [
            Writer(lambda _: log_run(mlflow), (httpx.TransportError, httpx.HTTPStatusError), 0.1),
            Writer(lambda number: insert(stack, number), (psycopg.Error,), 0.05),
            Writer(lambda number: publish(store, tmp_path, number), (StoreError,), 0.3),
        ]
        with psycopg.connect(stack.postgres_url) as connection:
            connection.execute("CREATE TABLE told (number bigint)")
        for writer in writers:
            writer.start()
        for name in SERVICES:
            kill_and_wait(name, supervisor, folders)
        kill_the_watch_and_wait(supervisor)
        supervisor_pid = supervisor.pid
        os.kill(supervisor_pid, signal.SIGKILL)
        again = matinee.up(data_dir=stack.data_dir)
        assert (again.postgres_url, again.s3, again.mlflow_url) == (stack.postgres_url, stack.s3, stack.mlflow_url)
        assert supervisor.pid not in {0, supervisor_pid}
        time.sleep(1)
        for writer in writers:
            writer.stop()
        assert all(writer.acknowledged for writer in writers)
        assert all(writer.refused for writer in writers[:2])  # a publish tries again by itself, and may come through
        runs, rows, versions = (writer.acknowledged for writer in writers)
        for run in runs:
            assert run_content(mlflow, run) == (7.0, run)
        with psycopg.connect(stack.postgres_url) as connection:
            kept = {number for (number,) in connection.execute("SELECT number FROM told")}
        assert set(rows) <= kept
        for version in versions:
            verify(version, store)
    assert matinee.status(data_dir=stack.data_dir).healthy


def kill_and_wait(name: str, supervisor: Supervisor, folders: Folders) -> None:
    """SIGKILL, and wait until another process does its work."""
    pid = supervisor.states()[name].pid
    birth = birth_of(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_same(pid, birth))
    wait_until(lambda: supervisor.states()[name].pid not in {0, pid})
    for service in SERVICES.values():
        wait_until(partial(service.is_healthy, state_of(folders)))


def kill_the_watch_and_wait(supervisor: Supervisor) -> None:
    pid = watch_pid(supervisor)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: watch_pid(supervisor) not in {0, pid})


def watch_pid(supervisor: Supervisor) -> int:
    return int(supervisor._ask("getProcessInfo", "watch")["pid"])


def state_of(folders: Folders) -> StackState:
    state = StackState.read(folders.state)
    assert state is not None
    return state


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline_s, "it does not recover"
        time.sleep(0.1)


def log_run(mlflow: httpx.Client) -> str:
    """A run with a metric and an artifact, its id once all of it was acknowledged."""
    api = "/api/2.0/mlflow"
    said = mlflow.post(f"{api}/runs/create", json={"experiment_id": "0", "start_time": 1}).raise_for_status().json()
    run: str = said["run"]["info"]["run_id"]
    metric = {"run_id": run, "key": "recall", "value": 7.0, "timestamp": 1, "step": 0}
    mlflow.post(f"{api}/runs/log-metric", json=metric).raise_for_status()
    mlflow.put(f"{api}-artifacts/artifacts/0/{run}/artifacts/note.txt", content=run.encode()).raise_for_status()
    return run


def run_content(mlflow: httpx.Client, run: str) -> tuple[float, str]:
    api = "/api/2.0/mlflow"
    said = mlflow.get(f"{api}/runs/get", params={"run_id": run}).raise_for_status().json()
    note = mlflow.get(f"{api}-artifacts/artifacts/0/{run}/artifacts/note.txt").raise_for_status().text
    return said["run"]["data"]["metrics"][0]["value"], note


def insert(stack: Stack, number: int) -> int:
    with psycopg.connect(stack.postgres_url, connect_timeout=5) as connection:
        connection.execute("INSERT INTO told VALUES (%s)", (number,))
    return number


def publish(store: Any, tmp_path: Path, number: int) -> str:
    folder = tmp_path / f"version-{number}"
    make_version(folder, seed=number)
    return publish_version(folder, store).id
