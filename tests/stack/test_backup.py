"""Backup and restore of a real stack: what comes back, what is refused, and what a kill leaves."""

from __future__ import annotations

import io
import itertools
import json
import signal
import subprocess
import sys
import tarfile
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from matinee.cli import main
from matinee.errors import BackupError, UsageError
from matinee.schema.progress import Silent
from matinee.stack import Stack, archive, running
from matinee.stack import restore as restoring
from matinee.stack.archive import Reader, Writer
from matinee.stack.backup import backup
from matinee.stack.dump import count_rows
from matinee.stack.objects import Objects, Stored
from matinee.stack.restore import restore
from matinee.stack.state import StackState
from own_disk import own_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matinee.stack.endpoint import Endpoint

pytestmark = pytest.mark.xdist_group("stack")

ODD_KEY = "films/a b/ü+%2F=&?#.txt"


def contents(stack: Stack) -> dict[str, Any]:
    """All that a stack keeps, in a form that can be compared."""
    objects = Objects(stack.s3)
    rows = {}
    for name in ("matinee", "mlflow"):
        with psycopg.connect(f"{stack.postgres_url.rpartition('/')[0]}/{name}") as connection:
            rows[name] = count_rows(connection)
    with psycopg.connect(stack.postgres_url) as connection:
        told = connection.execute("SELECT * FROM of_backup ORDER BY a").fetchall()
    return {
        "rows": rows,
        "told": told,
        "objects": {
            (bucket, key): look(objects, bucket, key) for bucket in objects.buckets() for key in objects.keys(bucket)
        },
    }


def look(objects: Objects, bucket: str, key: str) -> tuple[str, str, dict[str, str]]:
    with objects.open(bucket, key) as stored:
        assert stored is not None
        return objects.sha256(bucket, key), stored.content_type, stored.metadata


def log_a_run(stack: Stack) -> str:
    """An MLflow run with a number and an artifact, by plain HTTP; its id."""
    api = f"{stack.mlflow_url}/api/2.0"
    made = httpx.post(f"{api}/mlflow/runs/create", json={"experiment_id": "0", "start_time": 1}).json()
    run = made["run"]["info"]["run_id"]
    assert httpx.post(
        f"{api}/mlflow/runs/log-metric", json={"run_id": run, "key": "hr", "value": 0.19, "timestamp": 1}
    ).is_success
    assert httpx.put(f"{api}/mlflow-artifacts/artifacts/0/{run}/artifacts/told.txt", content=b"kept").is_success
    return str(run)


@pytest.fixture
def furnished(stack_service: Stack) -> Iterator[Stack]:
    """The stack with something of everything in it."""
    objects = Objects(stack_service.s3)
    with psycopg.connect(stack_service.postgres_url) as connection:
        connection.execute("CREATE TABLE of_backup (a bigint PRIMARY KEY, b text)")
        connection.execute("INSERT INTO of_backup SELECT g, 'ü' || g FROM generate_series(1, 5000) g")
    objects.put("matinee", ODD_KEY, Stored(io.BytesIO(b"odd"), 3, "text/plain", {"mtime": "978300760.5"}))
    objects.put("matinee", "films/big", Stored(io.BytesIO(bytes(20_000_000)), 20_000_000, "", {}))
    objects.put("matinee", "films/LATEST", Stored(io.BytesIO(b""), 0, "", {}))
    notebook = stack_service.data_dir / "jupyter" / "mine" / "one.ipynb"
    notebook.parent.mkdir(parents=True, exist_ok=True)
    notebook.write_text("{}")
    yield stack_service
    with psycopg.connect(stack_service.postgres_url) as connection:
        connection.execute("DROP TABLE of_backup")


def test_all_comes_back_even_after_a_kill(furnished: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = log_a_run(furnished)
    file, data_dir = tmp_path / "safe" / "one.tar", tmp_path / "new"
    assert main(["backup", str(file), "--data-dir", str(furnished.data_dir), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["databases"]["matinee"] >= 5000
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["one.tar"]
    before = contents(furnished)

    kill_while_restoring(file, data_dir)
    assert not data_dir.exists()

    restored = restore(file, data_dir=data_dir)
    assert restored.databases == told["databases"]
    assert restored.objects == len(before["objects"]) == sum(told["objects"].values())
    assert [path.name for path in tmp_path.glob("new*")] == ["new"]
    assert (data_dir / "jupyter" / "mine" / "one.ipynb").read_text() == "{}"
    assert (data_dir / "stack.json").stat().st_mode & 0o777 == 0o600
    with running(data_dir, ["mlflow"]) as stack:
        assert stack.mlflow_url != furnished.mlflow_url
        assert contents(stack) == before
        api = f"{stack.mlflow_url}/api/2.0"
        found = httpx.get(f"{api}/mlflow/runs/get", params={"run_id": run}).json()["run"]
        assert [(metric["key"], metric["value"]) for metric in found["data"]["metrics"]] == [("hr", 0.19)]
        assert httpx.get(f"{api}/mlflow-artifacts/artifacts/0/{run}/artifacts/told.txt").content == b"kept"
    state, old = (StackState.read(folder / "stack.json") for folder in (data_dir, furnished.data_dir))
    assert state is not None
    assert old is not None
    assert (state.postgres_password, state.s3_secret_key) == (old.postgres_password, old.s3_secret_key)


def kill_while_restoring(file: Path, data_dir: Path) -> None:
    argv = [sys.executable, "-m", "matinee", "restore", str(file), "--data-dir", str(data_dir), "--quiet"]
    with subprocess.Popen(argv) as process:
        deadline_s = time.monotonic() + 60
        while not (data_dir.with_name("new.restoring") / "s3_data").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)


def test_what_a_row_names_is_there_although_others_write_meanwhile(furnished: Stack, tmp_path: Path) -> None:
    ready, done = threading.Event(), threading.Event()

    def write() -> None:
        objects = Objects(furnished.s3)
        with psycopg.connect(furnished.postgres_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS of_pairs (a bigint)")
            connection.execute("TRUNCATE of_pairs")
            for number in itertools.count(1):
                objects.put("matinee", f"pairs/{number}", Stored(io.BytesIO(b"x"), 1, "", {}))
                connection.execute("INSERT INTO of_pairs VALUES (%s)", (number,))
                ready.set()
                if done.is_set():
                    connection.execute("DROP TABLE of_pairs")
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert ready.wait(60)
        backup(tmp_path / "one.tar", data_dir=furnished.data_dir)
    finally:
        done.set()
        writer.join()
    with Reader(tmp_path / "one.tar") as reader:
        reader.verify(Silent())
        rows = {part.name: part.about["rows"] for part in reader.of_kind("database")}["matinee"]["public.of_pairs"]
        names = {part.name for part in reader.of_kind("object")}
    assert rows >= 1
    assert {f"matinee/pairs/{number}" for number in range(1, rows + 1)} <= names


def test_what_is_there_is_not_overwritten(stack_service: Stack, tmp_path: Path) -> None:
    file = tmp_path / "one.tar"
    file.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        backup(file, data_dir=stack_service.data_dir)
    assert file.read_text() == "mine"
    small = make_archive(tmp_path / "small.tar")
    with pytest.raises(UsageError, match="a stack runs there"):
        restore(small, force=True, data_dir=stack_service.data_dir)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stack.json").write_text("{}")
    with pytest.raises(UsageError, match=r"is not empty \(stack.json\).*--force"):
        restore(small, data_dir=tmp_path / "other")


def test_without_a_stack_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stack is here"):
        backup(tmp_path / "one.tar", data_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def make_archive(path: Path, name: str = "jupyter/one.ipynb") -> Path:
    with Writer(path) as writer:
        writer.add("file", name, io.BytesIO(b"0123456789" * 1000), 10_000, mode=0o644)
        writer.add("settings", "stack.json", io.BytesIO(b"{}"), 2)
    return path


@pytest.mark.parametrize("name", ["../evil", "jupyter/../../evil", "/etc/evil", "stack.json", "logs/x", ""])
def test_a_file_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    file = make_archive(tmp_path / "a" / "one.tar", name)
    before = sorted(tmp_path.rglob("*"))
    folder = tmp_path / "b"
    folder.mkdir()
    with Reader(file) as reader, pytest.raises(BackupError, match="cannot lie there"):
        restoring._files(reader, folder, Silent())
    folder.rmdir()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_byte_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    file = make_archive(tmp_path / "one.tar")
    text = bytearray(file.read_bytes())
    text[text.index(b"0123456789") + 5000] ^= 1
    file.write_bytes(text)
    with pytest.raises(BackupError, match=r"file jupyter/one.ipynb has SHA-256 .*, expected .*; use another copy"):
        restore(file, data_dir=tmp_path / "new")
    assert not list(tmp_path.glob("new*"))


def test_a_backup_that_was_broken_off_is_none(tmp_path: Path) -> None:
    file = make_archive(tmp_path / "one.tar")
    whole = file.read_bytes()
    for length in (0, 100, 512, 6_000, 10_752, len(whole) // 2):
        file.write_bytes(whole[:length])
        with pytest.raises(BackupError, match="broken off"):
            Reader(file)


@pytest.mark.parametrize(
    "manifest",
    [b"{}", b"[]", b"\xff", b'{"format": 1, "made": "", "parts": [{}]}', b'{"format": "x", "made": "", "parts": []}'],
)
def test_something_else_is_not_a_backup(manifest: bytes, tmp_path: Path) -> None:
    file = tmp_path / "one.tar"
    with tarfile.open(file, "w") as tar:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(manifest)
        tar.addfile(info, io.BytesIO(manifest))
    with pytest.raises(BackupError, match="is not a backup of Matinee"):
        Reader(file)


def test_a_link_in_the_place_of_a_part_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("theirs")
    part = archive.Part("00000000", "file", "jupyter/x", 6, "0" * 64)
    manifest = json.dumps({"format": 1, "made": "", "parts": [part_of(part)]}).encode()
    file = tmp_path / "one.tar"
    with tarfile.open(file, "w") as tar:
        link = tarfile.TarInfo("00000000")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
        info = tarfile.TarInfo("manifest.json")
        info.size = len(manifest)
        tar.addfile(info, io.BytesIO(manifest))
    with Reader(file) as reader, pytest.raises(BackupError, match="is missing or has another size"):
        reader.verify(Silent())


def part_of(part: archive.Part) -> dict[str, Any]:
    return {name: getattr(part, name) for name in ("member", "kind", "name", "size", "sha256", "about")}


def test_a_backup_of_a_newer_matinee_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_FORMAT", 2)
    file = make_archive(tmp_path / "one.tar")
    monkeypatch.undo()
    with pytest.raises(BackupError, match="format 2, this Matinee knows up to 1; upgrade it"):
        Reader(file)


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="unexpected end of data"), Writer(tmp_path / "one.tar") as writer:
        writer.add("file", "jupyter/x", io.BytesIO(b"short"), 10)
    assert not list(tmp_path.glob("one.tar*"))


def test_two_that_write_the_same_backup_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="is there already"), Writer(tmp_path / "one.tar"):
        make_archive(tmp_path / "one.tar")
    with Reader(tmp_path / "one.tar") as reader:
        reader.verify(Silent())
        assert [part.name for part in reader.parts] == ["jupyter/one.ipynb", "stack.json"]
    assert [path.name for path in tmp_path.glob("one.tar*")] == ["one.tar"]


@pytest.mark.xdist_group("s3")
def test_what_says_which_version_counts_is_copied_first(s3_service: Endpoint) -> None:
    objects = Objects(s3_service)
    for key in ("order/z", "order/LATEST", "order/a"):
        objects.put("matinee", key, Stored(io.BytesIO(b"x"), 1, "", {}))
        time.sleep(1.1)  # S3 tells times in whole seconds
    keys = [key for key in objects.keys("matinee") if key.startswith("order/")]
    assert keys == ["order/LATEST", "order/z", "order/a"]
    with objects.open("matinee", "order/gone") as stored:
        assert stored is None


def test_force_moves_aside_and_deletes_nothing(tmp_path: Path) -> None:
    target, staging = tmp_path / "data", tmp_path / "data.restoring"
    for folder in (target, staging):
        folder.mkdir()
        (folder / "stack.json").write_text(folder.name)
    aside = restoring._make_way(target)
    restoring._move(staging, target)
    assert (aside / "stack.json").read_text() == "data"
    assert aside.name.startswith("data.before-")
    assert (target / "stack.json").read_text() == "data.restoring"


@pytest.fixture
def block_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder that is a disk of its own, as a block volume's mount is; only root can mount one."""
    with own_disk(tmp_path / "block") as disk:
        yield disk


def test_on_a_disk_of_its_own_things_are_moved_inside_it(block_disk: Path) -> None:
    (block_disk / "lost+found").mkdir()
    assert restoring._things(block_disk) == []
    (block_disk / "stack.json").write_text("old")
    staging = restoring._fresh_staging(block_disk)
    assert staging.parent == block_disk
    (staging / "stack.json").write_text("new")
    (staging / "postgres_data").mkdir()
    aside = restoring._make_way(block_disk)
    restoring._move(staging, block_disk)
    assert (aside / "stack.json").read_text() == "old"
    assert {path.name for path in block_disk.iterdir()} == {"lost+found", "stack.json", "postgres_data", aside.name}
    assert (block_disk / "stack.json").read_text() == "new"
