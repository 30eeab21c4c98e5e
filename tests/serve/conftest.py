"""A small version, models of it, and real servers in front of a real Postgres."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from matinee.stack import postgres
from served import Server, Starter
from served_models import Models, changing_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matinee.version import Version
    from services import PostgresServer


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """See `changing_version`."""
    return changing_version(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="session")
def models(version: Version, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """See `Models`."""
    return Models(version, tmp_path_factory.mktemp("models"))


@pytest.fixture
def start(database: str, version: Version, tmp_path: Path) -> Iterator[Starter]:
    """Starts servers on the test's own database and data folder; all of them are stopped in the end."""
    starter = Starter(database, version, tmp_path)
    try:
        yield starter
    finally:
        starter.stop()


@pytest.fixture(scope="module")
def server(
    postgres_service: PostgresServer,
    version: Version,
    models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """One server for all tests of a module that can share what they tell; it comes after train and eval."""
    name = f"serve_{time.monotonic_ns()}"
    postgres.ensure_database(postgres_service.url(), name)
    starter = Starter(postgres_service.url(name), version, tmp_path_factory.mktemp("server"))
    try:
        yield starter(models["sse-pt"], past="eval", max_body_bytes=1 << 26)
    finally:
        starter.stop()
