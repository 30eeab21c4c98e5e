"""The embedded Postgres, for real: made, run, killed, refused."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from matinee.errors import DiskFullError, ServiceError
from matinee.stack import postgres
from matinee.stack.account import Account, account_for, become
from own_disk import own_disk
from services import PostgresServer

pytestmark = pytest.mark.xdist_group("postgres")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_it_is_the_major_version_that_it_says(postgres_service: PostgresServer) -> None:
    with psycopg.connect(postgres_service.url()) as connection:
        assert connection.info.server_version // 10_000 == postgres.MAJOR


def test_it_keeps_what_it_acknowledges_and_asks_for_passwords(postgres_service: PostgresServer) -> None:
    with psycopg.connect(postgres_service.url()) as connection:
        for name, value in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "password_encryption": "scram-sha-256",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
        }.items():
            assert connection.execute(f"SHOW {name}").fetchone() == (value,), name  # type: ignore[arg-type]
        rules = connection.execute("SELECT auth_method, error FROM pg_hba_file_rules").fetchall()
        assert rules == [("scram-sha-256", None)]
        (stored,) = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL").fetchall()
        assert stored[0].startswith("SCRAM-SHA-256$")


def test_a_wrong_password_is_not_healthy(postgres_service: PostgresServer) -> None:
    assert postgres.is_healthy(postgres_service.url())
    assert not postgres.is_healthy(postgres.address(postgres_service.port, "guessed"))


def test_nobody_listens_is_not_healthy() -> None:
    assert not postgres.is_healthy(postgres.address(1, "x"))


def test_the_password_is_in_no_command_line_and_no_file(postgres_service: PostgresServer) -> None:
    pid = postgres_service.process.pid
    assert postgres_service.password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert postgres_service.password.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    top = [path for path in postgres_service.folder.iterdir() if path.is_file()]
    assert top
    assert not any(postgres_service.password.encode() in path.read_bytes() for path in top)


def test_a_database_is_made_once(database: str, postgres_service: PostgresServer) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE kept (a int)")
    name = database.rpartition("/")[2]
    postgres.ensure_database(postgres_service.url(), name)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_database_that_cannot_be_made_is_one_line() -> None:
    with pytest.raises(ServiceError, match=r"^Postgres: database films cannot be made \(.*refused[^\n]*\)$") as told:
        postgres.ensure_database(postgres.address(1, "secret word"), "films")
    assert "secret" not in str(told.value)


def test_initialising_twice_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    postgres.initialise(folder, password="first")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    postgres.initialise(folder, password="second")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.glob("data*")] == ["data"]


def test_a_killed_initialisation_is_begun_anew(tmp_path: Path) -> None:
    half = tmp_path / "data.partial"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    postgres.initialise(tmp_path / "data", password="word")
    assert (tmp_path / "data" / "global" / "pg_control").is_file()
    assert not half.exists()


def test_data_of_another_major_version_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("17\n")
    with pytest.raises(ServiceError, match=r"data: data of Postgres 17, expected 18; back it up"):
        postgres.initialise(folder, password="word")


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "thesis.txt").write_text("dear")
    with pytest.raises(ServiceError, match=r"holds files but no Postgres data"):
        postgres.initialise(folder, password="word")
    assert (folder / "thesis.txt").read_text() == "dear"


def test_a_killed_server_comes_back_with_all_that_it_acknowledged(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "data")
    server.start()
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE told (a int)")
            connection.execute("INSERT INTO told SELECT generate_series(1, 10000)")
            server.kill()
        server.start()
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT count(*), sum(a) FROM told").fetchone() == (10_000, 50_005_000)
    finally:
        server.stop()


def test_a_pid_file_that_names_a_stranger_is_in_nobodys_way(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "data")
    account = account_for(server.folder)
    stranger = subprocess.Popen(["sleep", "60"], user=account.uid if account else None)
    (server.folder / "postmaster.pid").write_text(f"{stranger.pid}\n{server.folder}\n1\n{server.port}\n\n127.0.0.1\n")
    try:
        server.start()
        server.stop()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_running_server_is_left_alone(postgres_service: PostgresServer) -> None:
    pid_file = postgres_service.folder / "postmaster.pid"
    before = pid_file.read_bytes()
    postgres.make_way(postgres_service.folder)
    assert pid_file.read_bytes() == before
    assert postgres.is_healthy(postgres_service.url())


@as_root
def test_root_hands_over_without_opening_a_folder(postgres_service: PostgresServer) -> None:
    owner = postgres_service.folder.stat().st_uid
    assert owner != 0
    assert Path(f"/proc/{postgres_service.process.pid}").stat().st_uid == owner
    above = postgres_service.folder.parent
    assert above.stat().st_uid == 0
    assert above.stat().st_mode & 0o077 == 0  # pytest's own folder is closed, and stays so


@as_root
def test_data_that_root_brought_goes_to_the_one_who_runs_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    postgres.initialise(folder, password="word")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 0, 0)
    postgres.initialise(folder, password="word")
    account = account_for(folder)
    assert account is not None
    assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {account.uid}


@as_root
def test_an_ordinary_user_needs_nobody() -> None:
    """The whole life of a server as a user without any rights, in a folder of its own."""
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp())  # pytest's folders are closed to others
    os.chown(home, nobody.pw_uid, nobody.pw_gid)

    def live() -> None:
        become(Account("nobody", nobody.pw_uid, nobody.pw_gid))
        os.chdir(home)
        server = PostgresServer(home / "data")
        server.start()
        server.stop()

    # Forked, because the interpreter itself may lie below a folder that is closed to others.
    child = multiprocessing.get_context("fork").Process(target=live)
    try:
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert (home / "data" / "PG_VERSION").owner() == "nobody"
    finally:
        child.kill()
        shutil.rmtree(home)


@as_root
def test_somebody_elses_data_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    postgres.initialise(folder, password="word")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ServiceError, match=r"belongs to user \d+, not to 12345; run as that user or as root"):
        postgres.initialise(folder, password="word")


@as_root
def test_programs_below_a_closed_folder_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "postgres").write_bytes(b"#!/bin/sh\n")
    (closed / "postgres").chmod(0o755)
    monkeypatch.setattr(postgres, "programs", lambda: closed)
    with pytest.raises(ServiceError, match=r"may not run .*/closed/postgres: /\S+ is closed to others; .*chmod o\+x /"):
        postgres.initialise(tmp_path / "data", password="word")


@as_root
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with own_disk(tmp_path / "small", "size=8m") as small:
        with pytest.raises(DiskFullError, match=r"no space left for Postgres"):
            postgres.initialise(small / "data", password="word")
        assert not (small / "data").exists()
