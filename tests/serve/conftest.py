"""A small version, models of it, and real servers in front of a real Postgres."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matinee.model.markov import Markov, MarkovSettings
from matinee.model.recommender import Known, Prior
from matinee.model.sse_pt import SSEPT, SSEPTSettings
from matinee.stack import postgres
from served import Server, Starter, save
from small_version import small_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.model.recommender import Recommender
    from matinee.version import Version
    from services import PostgresServer

USERS, ITEMS = 40, 90


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """900 events over 30 days, with new people and new items to the end, and many in the same second."""
    chance = random.Random(4)
    events = []
    for number in range(900):
        newest = 4 + number * (ITEMS - 4) // 900
        user = 100 + chance.randrange(max(0, number // 30 - 8), number // 30 + 4) % USERS
        item = 5000 + min(int(chance.paretovariate(0.7)) + chance.randrange(newest), newest)
        events.append((user, item, 1_000_000_000 + number // 3 * 8640))
    return small_version(tmp_path_factory.mktemp("serve"), events)


class _Models(dict[str, Path]):
    """Folders of models by name, each made when it is first asked for: an export takes seconds."""

    def __init__(self, version: Version, root: Path) -> None:
        super().__init__()
        self._version, self._root = version, root

    def __missing__(self, name: str) -> Path:
        self[name] = save(self._root / name, self._made(name), self._version)
        return self[name]

    def _made(self, name: str) -> Recommender:
        known = Known(self._version.known_users, self._version.known_items)
        if name == "sse-pt":  # untrained: what it says is arbitrary, and the same for the same history
            settings = SSEPTSettings(maxlen=20, item_dim=8, user_dim=8, blocks=1)
            network = SSEPT.initial(settings, known, 1)
            network.prior = Prior(0.4, 5 * 86_400)
            return network
        markov = Markov.fit(MarkovSettings(), self._version.sequences("train"), known)
        markov.prior = {"markov": Prior(0.7, None), "plain": Prior()}[name]
        return markov


@pytest.fixture(scope="session")
def models(version: Version, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network whose prior has a window ('sse-pt'), and chains with a prior ('markov') and without ('plain')."""
    return _Models(version, tmp_path_factory.mktemp("models"))


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
