"""Versions large enough to be caught in the middle of a fill, and small ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import matinee
from matinee.database import fill, migrate
from matinee.stack import postgres

if TYPE_CHECKING:
    from pathlib import Path

    from services import PostgresServer


@pytest.fixture(scope="session")
def large_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300,000 events by some 130,000 users on 30,000 items, whose raw ids are texts."""
    folder = tmp_path_factory.mktemp("large")
    chance = np.random.default_rng(20261125)
    users, items = chance.integers(0, 150_000, 300_000), chance.integers(0, 30_000, 300_000)
    times = np.sort(chance.integers(1_000_000_000, 1_000_900_000, 300_000))
    with (folder / "large.csv").open("w") as log:
        log.write("user,item,time\n")
        log.writelines(f"u{u:x},ítem {i},{t}\n" for u, i, t in zip(users, items, times, strict=True))
    return matinee.transform(folder / "large.csv", out=folder / "version", raw=False).folder


@pytest.fixture
def small_version(small_logs: dict[str, Path], tmp_path: Path) -> Path:
    """Eight events with integer ids."""
    return matinee.transform(small_logs["ratings.csv"], out=tmp_path / "version").folder


@pytest.fixture(scope="session")
def fill_s(large_version: Path, postgres_service: PostgresServer) -> float:
    """How long that version's fill takes here, so that a kill can be aimed at its middle."""
    postgres.ensure_database(postgres_service.url(), "measured")
    migrate(postgres_service.url("measured"))
    began_s = time.monotonic()
    fill(postgres_service.url("measured"), large_version)
    return time.monotonic() - began_s
