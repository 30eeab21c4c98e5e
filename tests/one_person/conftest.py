"""A version whose archive has a movie file, a server of it that needs a token, and a replay through that server."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from matinee.model.markov import Markov, MarkovSettings
from matinee.model.recommender import Known
from matinee.replay.against import Against
from matinee.replay.live import Live
from matinee.replay.plan import Plan
from matinee.replay.stage import play
from matinee.stack import postgres
from matinee.version import Version, open_version
from served import Starter, save
from small_version import small_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services import PostgresServer

TOKEN = "0123456789abcdef"
Row = tuple[int, int, int]


@dataclass(frozen=True)
class Played:
    """What the tests look at; `rows` are the events of eval in order of time, `past` those of train."""

    version: Version
    past: list[Row]
    rows: list[Row]
    url: str
    data_dir: Path
    replay: Path
    token_file: Path


def _rows() -> list[Row]:
    """Some 240 events of people who come and stay for a while, some in the same second."""
    chance = random.Random(8)
    rows = [
        (500 + number // 24 + chance.randrange(4), 10 + int(chance.paretovariate(0.9)) % 30, 10**9 + number // 2 * 3600)
        for number in range(240)
    ]
    return [*dict.fromkeys(rows)]  # exact repeats are no events


def _version(folder: Path, rows: list[Row]) -> Version:
    """In its place below the data folder."""
    movies = "movieId,title,genres\n" + "".join(f"{item},Film {item} (19{item}),Drama|War\n" for item in range(10, 35))
    version = small_version(folder / "made", rows, name="films", beside={"movies.csv": movies})
    place = folder / "data" / "versions" / version.name / version.id
    place.parent.mkdir(parents=True)
    version.folder.rename(place)
    return open_version(place)


@pytest.fixture(scope="session")
def played(postgres_service: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("person")
    rows = _rows()
    version = _version(folder, rows)
    known = Known(version.known_users, version.known_items)
    model = Markov.fit(
        MarkovSettings(), version.sequences("train"), known
    )  # without prior: the same answer at any time
    database = f"person_{time.monotonic_ns()}"
    postgres.ensure_database(postgres_service.url(), database)
    token_file = folder / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    starter = Starter(postgres_service.url(database), version, folder)
    try:
        server = starter(save(folder / "model", model, version), token=TOKEN, past="train")
        url = str(server.client.base_url).rstrip("/")
        plan = Plan(version.name, version.id, version.sha256)
        arms = [Against("chains", url=url)]
        made = play(version, plan, arms, data_dir=folder / "data", token=TOKEN, watch=Live)
        cut, end = (next(version.events(split)).timestamp[0] for split in ("eval", "test"))
        past, evaluated = [row for row in rows if row[2] < cut], [row for row in rows if cut <= row[2] < end]
        yield Played(version, past, evaluated, url, folder / "data", made.folder, token_file)
    finally:
        starter.stop()
