"""A small version, models of it, and real servers in front of a real Postgres, for a replay to play against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from served import Starter
from served_models import Models, changing_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matinee.version import Version


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """See `changing_version`."""
    return changing_version(tmp_path_factory.mktemp("replay"))


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
