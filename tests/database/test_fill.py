"""Filling a real Postgres: the right rows, once, whatever is killed meanwhile."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

import matinee
from database_contents import held, ought
from matinee import database as room
from matinee.database import fill
from matinee.errors import DatabaseError, VersionConflictError, VersionDamagedError, VersionError, VersionNotFoundError
from matinee.schema.certificate import Certificate
from matinee.schema.manifest import Manifest
from services import PostgresServer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("postgres")


def test_users_and_items_are_what_the_log_says(database: str, large_version: Path) -> None:
    filled = fill(database, large_version)
    manifest = Manifest.read(large_version)
    assert not filled.unchanged
    assert (filled.users, filled.items) == (manifest.users.count, manifest.items.count)
    assert held(database, manifest.id) == ought(large_version)


def test_integer_ids_and_other_splits(database: str, small_logs: dict[str, Path], tmp_path: Path) -> None:
    for split in ("time", "leave-one-out", "ratio", "random"):
        folder = matinee.transform(small_logs["ratings.csv"], out=tmp_path / split, split=split, seed=7).folder  # type: ignore[arg-type]
        fill(database, folder)
        assert held(database, Manifest.read(folder).id) == ought(folder), split
    assert [found.split for found in room.versions(database)] == ["random", "ratio", "leave-one-out", "time"]


def test_a_version_is_read_back_as_it_was_told(database: str, small_version: Path) -> None:
    manifest, certificate = Manifest.read(small_version), Certificate.read(small_version)
    fill(database, small_version, location="s3://matinee/ratings/versions/1")
    found = room.version(database, manifest.id)
    assert found == room.versions(database, "ratings")[0]
    assert found.settings == json.loads(json.dumps(manifest.settings))
    assert (found.train, found.eval, found.test) == (
        certificate.train.rows, certificate.eval.rows, certificate.test.rows,
    )  # fmt: skip
    assert (tuple(found.cuts), found.source_sha256) == (certificate.cuts, manifest.source.sha256)
    assert found.location == "s3://matinee/ratings/versions/1"
    assert found.registered.tzinfo is not None
    assert room.versions(database, "others") == []
    with pytest.raises(VersionNotFoundError, match=r"version feed: not in Postgres; 'matinee register DIR'"):
        room.version(database, "feed")


def test_somebody_is_found_by_the_id_in_the_log(database: str, small_version: Path) -> None:
    fill(database, small_version)
    version = Manifest.read(small_version).id
    user = room.user(database, "ratings", 7)
    assert user is not None
    assert (user.version, user.raw, user.id, user.events) == (version, "7", 3, 2)
    assert (user.first_seen, user.last_seen) == (1260759185, 1260759210)
    item = room.item(database, "ratings", "31", version=version)
    assert item is not None
    assert (item.id, item.events) == (1, 3)
    assert room.user(database, "ratings", 8) is None
    assert room.user(database, "elsewhere", 7) is None
    assert room.user(database, "ratings", 7, version="feed") is None


def test_twice_is_once_and_what_is_there_is_not_read_again(database: str, small_version: Path) -> None:
    fill(database, small_version, location="s3://a")
    before = held(database, Manifest.read(small_version).id)
    shutil.rmtree(small_version / "events")
    again = fill(database, small_version)
    assert again.unchanged
    assert held(database, again.version) == before
    assert room.version(database, again.version).location == "s3://a"  # nobody said anything else
    fill(database, small_version, location="s3://b")
    assert room.version(database, again.version).location == "s3://b"


def test_two_at_once_are_one(database: str, large_version: Path) -> None:
    code = _code(database, large_version)
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].split()[-1] for process in both]
    assert sorted(said) == ["False", "True"]
    assert held(database, Manifest.read(large_version).id) == ought(large_version)


def test_another_version_under_the_same_id_is_refused(database: str, small_version: Path) -> None:
    fill(database, small_version)
    manifest = Manifest.read(small_version)
    other = replace(manifest, users=replace(manifest.users, sha256="0" * 64))
    (small_version / "manifest.json").write_text(other.to_json())
    with pytest.raises(VersionConflictError, match=r"Postgres has other users or items under this id"):
        fill(database, small_version)


def test_versions_stand_beside_each_other(database: str, small_version: Path, large_version: Path) -> None:
    for folder in (small_version, large_version):
        fill(database, folder)
    for folder in (small_version, large_version):
        assert held(database, Manifest.read(folder).id) == ought(folder)


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_loader_leaves_all_or_nothing(seed: int, database: str, large_version: Path, fill_s: float) -> None:
    chance = random.Random(seed)
    version = Manifest.read(large_version).id
    room.migrate(database)
    whole = ought(large_version)
    process = subprocess.Popen(
        [sys.executable, "-c", _code(database, large_version)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(chance.uniform(0, 1.1 * fill_s))
    process.kill()
    process.communicate()
    left = held(database, version)
    assert left in (whole, {"users": [], "items": []})
    fill(database, large_version)
    assert held(database, version) == whole
    _assert_no_remains(database)


def test_a_killed_postgres_leaves_all_or_nothing(large_version: Path, fill_s: float, tmp_path: Path) -> None:
    chance = random.Random(5)
    version = Manifest.read(large_version).id
    whole = ought(large_version)
    server = PostgresServer(tmp_path / "postgres_data")
    try:
        for round_ in range(5):
            server.start()
            url = _fresh(server, f"round_{round_}")
            killer = threading.Timer(chance.uniform(0, 1.1 * fill_s), server.kill)
            killer.start()
            with contextlib.suppress(DatabaseError):
                fill(url, large_version)
            killer.join()
            server.start()
            assert held(url, version) in (whole, {"users": [], "items": []})
            fill(url, large_version)
            assert held(url, version) == whole
            _assert_no_remains(url)
            server.stop()
    finally:
        server.stop()


def test_no_version_is_one_line(database: str, tmp_path: Path) -> None:
    with pytest.raises(VersionNotFoundError, match=r"no manifest.json, so no complete version"):
        fill(database, tmp_path)


def test_no_postgres_is_one_line(small_version: Path) -> None:
    with pytest.raises(DatabaseError, match=r"^Postgres at 127.0.0.1:1/films: .*refused.*run again[^\n]*$") as told:
        fill("postgresql://me:secret@127.0.0.1:1/films", small_version)
    assert "secret" not in str(told.value)


def test_an_empty_database_says_what_to_do(database: str) -> None:
    with pytest.raises(DatabaseError, match=r"has no tables of Matinee yet; 'matinee register DIR' makes them"):
        room.versions(database)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestamp": [9, 5]}, "not in order of time"),
        ({"user": [1, 99]}, r"user ids 1 to 99, the manifest has 1 to 4"),
        ({"item": [0, 1]}, r"item ids 0 to 1, the manifest has 1 to 4"),
        ({}, r"has id 2, which no event names"),
    ],
)
def test_events_that_contradict_the_manifest_are_refused(
    change: dict[str, list[int]], message: str, database: str, small_version: Path
) -> None:
    columns = {"user": [1, 1], "item": [1, 1], "timestamp": [5, 9]} | change
    kinds = {"user": pa.int32(), "item": pa.int32(), "timestamp": pa.int64()}
    table = pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})
    for split in ("train", "eval", "test"):
        parquet.write_table(table, small_version / f"events/{split}.parquet")
    with pytest.raises(VersionDamagedError, match=message):
        fill(database, small_version)
    assert room.versions(database) == []


def test_a_torn_file_is_one_line(database: str, small_version: Path) -> None:
    path = small_version / "ids" / "items.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(VersionDamagedError, match=r"ids/items.parquet: cannot be read .*; transform again$"):
        fill(database, small_version)
    assert held(database, Manifest.read(small_version).id) == {"users": [], "items": []}


@pytest.mark.parametrize(("raw", "message"), [("x" * 3000, "3000 bytes"), ("a\0b", "NUL")])
def test_an_id_that_postgres_cannot_hold_is_one_line(raw: str, message: str, database: str, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(f"user,item,time\n{raw},a,1000000000\nu,b,1000000001\n")
    folder = matinee.transform(tmp_path / "odd.csv", out=tmp_path / "version", ids="string").folder
    with pytest.raises(VersionError, match=message):
        fill(database, folder)


def test_ids_come_through_as_they_are(database: str, tmp_path: Path) -> None:
    odd = ['"', "\\N", "\\.", "a\tb", "", " ", "'; DROP TABLE users; --", "日本", "😀", "null", "a,b"]
    lines = [
        f'"u{user}","{item.replace(chr(34), chr(34) * 2)}",{1_000_000_000 + user}' for user, item in enumerate(odd)
    ]
    (tmp_path / "odd.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n")
    folder = matinee.transform(tmp_path / "odd.csv", out=tmp_path / "version", ids="string", max_reject_share=1).folder
    fill(database, folder)
    assert held(database, Manifest.read(folder).id) == ought(folder)
    assert room.item(database, "odd", "\\N") is not None


def _code(url: str, folder: Path) -> str:
    """A process of its own that fills; it says when it begins, and whether it found everything there."""
    return (
        "import pathlib\nfrom matinee.database import fill\nprint('ready', flush=True)\n"
        f"print(fill({url!r}, pathlib.Path({str(folder)!r})).unchanged)\n"
    )


def _fresh(server: PostgresServer, name: str) -> str:
    from matinee.stack import postgres

    postgres.ensure_database(server.url(), name)
    url = server.url(name)
    room.migrate(url)
    return url


def _assert_no_remains(url: str) -> None:
    """No table of an unfinished fill, and nothing that still holds a lock."""
    with psycopg.connect(url) as connection:
        parts = connection.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'users'::regclass").fetchone()
        tables = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^users_'"
        ).fetchone()
        assert parts == tables == (1,)
