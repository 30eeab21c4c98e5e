"""Fixtures that start real services, for all tests (conftest.py names this module as a plugin).

`xdist_group("s3")`, `xdist_group("postgres")` and `xdist_group("stack")` keep it at one service of a kind.
"""

from __future__ import annotations

import itertools
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from matinee.stack import Stack, postgres, running
from matinee.stack.account import account_for
from matinee.stack.lifecycle import down
from matinee.stack.s3 import Endpoint, running_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["PostgresServer", "bucket", "database", "on_s3", "postgres_service", "s3_service", "stack_service"]

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def s3_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A real SeaweedFS for all tests of a worker."""
    with running_s3(tmp_path_factory.mktemp("s3") / "data") as endpoint:
        yield endpoint


@pytest.fixture
def on_s3(s3_service: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """The same, with its address and keys in the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_service.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_service.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_service.secret_key)
    return s3_service


@pytest.fixture
def bucket(on_s3: Endpoint) -> Callable[[], str]:
    """Gives s3:// addresses that nobody else uses."""
    del on_s3
    return lambda: f"s3://matinee/test-{next(_NUMBERS)}"


class PostgresServer:
    """A real Postgres of a test's own, which may be killed and started again; always stop it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.folder, self.password = folder, "not ':/@ easy"
        postgres.initialise(folder, password=self.password)

    def url(self, database: str = "postgres") -> str:
        return postgres.address(self.port, self.password, database)

    def start(self) -> None:
        postgres.make_way(self.folder)
        account = account_for(self.folder)
        self.process = subprocess.Popen(
            postgres.command(self.port),
            cwd=self.folder,
            env=postgres.environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 60
        while not postgres.is_healthy(self.url()):
            assert self.process.poll() is None, "Postgres ended"
            assert time.monotonic() < deadline_s, "Postgres does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.Signals[f"SIG{postgres.STOP_SIGNAL}"])
            self.process.wait(30)


@pytest.fixture(scope="session")
def postgres_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real Postgres for all tests of a worker."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres") / "postgres_data")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def database(postgres_service: PostgresServer) -> str:
    """The address of a new database that nobody else uses."""
    name = f"test_{next(_NUMBERS)}"
    postgres.ensure_database(postgres_service.url(), name)
    return postgres_service.url(name)


@pytest.fixture(scope="session")
def stack_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Postgres, S3, MLflow and JupyterLab kept up, for all tests of a worker; its folder is `data_dir`."""
    data_dir = tmp_path_factory.mktemp("stack") / "data"
    with running(data_dir) as stack:
        yield stack
    down(data_dir=data_dir)  # a test that called `up` keeps it up
