"""Load, and what is left of it when its process is killed at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol

import pytest

from matinee.errors import StoreError, UsageError
from matinee.etl.load import load
from matinee.lineage import Recorder, trace
from matinee.schema.manifest import Manifest
from matinee.stack.s3 import start_s3, stop_s3
from matinee.store import Store, StoredFiles, gc, open_store, rollback, verify
from toy_version import SIZES, contents, make_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matinee.stack.s3 import Endpoint

# One file is large enough to be sent in parts where S3_PARTS is in the environment.
LARGER = SIZES | {"raw/a log.zip": 6_000_000, "events/train.parquet": 3_000_000, "training/toy_train.txt": 1_000_000}
S3_PARTS = ("RCLONE_S3_UPLOAD_CUTOFF", "5Mi")
# Imports once, then forks a publisher for each line it reads: a kill costs milliseconds, and hits the publisher only.
NURSERY = """
import os, sys
from pathlib import Path
from matinee.etl.load import load
for line in sys.stdin:
    folder, to = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        load(Path(folder), to)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Publish(Protocol):
    """Publishes in a process of its own, killed after `kill_after_s`; how it ended and how long it took."""

    def __call__(self, folder: Path, to: str, kill_after_s: float | None = None) -> tuple[int, float]: ...


@contextmanager
def nursery() -> Iterator[Publish]:
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        def publish(folder: Path, to: str, kill_after_s: float | None = None) -> tuple[int, float]:
            began_s = time.monotonic()
            _pipe(process.stdin).write(f"{folder}\t{to}\n")
            pid = int(_pipe(process.stdout).readline())
            killer = threading.Timer(kill_after_s or 0, _kill, [pid])
            if kill_after_s is not None:
                killer.start()
            status = int(_pipe(process.stdout).readline())
            killer.cancel()
            return status, time.monotonic() - began_s

        yield publish
        _pipe(process.stdin).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _kill(pid: int) -> None:
    subprocess.run(["kill", "-9", str(pid)], capture_output=True, check=False)


def test_load_publishes_and_tells_lineage(tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1")
    recorder = Recorder(tmp_path / "lineage")
    published = load(tmp_path / "v1", str(tmp_path / "store"), lineage=recorder)
    assert published.id == manifest.id
    chain = trace(manifest.id, events=recorder.path)
    link = next(link for link in chain.links if link.kind == "published")
    assert (link.sha256, link.where) == (published.manifest_sha256, published.location)
    assert link.run
    assert load(tmp_path / "v1", str(tmp_path / "store")).unchanged


def test_a_failed_load_is_recorded_as_failed(tmp_path: Path) -> None:
    make_version(tmp_path / "v1")
    recorder = Recorder(tmp_path / "lineage")
    (tmp_path / "v1" / "rejects.csv").unlink()
    with pytest.raises(Exception, match=r"rejects\.csv"):
        load(tmp_path / "v1", str(tmp_path / "store"), lineage=recorder)
    assert recorder.path is not None
    assert '"FAIL"' in recorder.path.read_text()
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL"):
        load(tmp_path / "v1", "s3://bucket", lineage=recorder)


@pytest.mark.parametrize(
    ("kind", "kills"), [("folder", 14), pytest.param("s3", 8, marks=pytest.mark.xdist_group("s3"))]
)
def test_killed_at_any_moment_and_run_again(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_version(tmp_path / "v1", seed=1)
    second = make_version(tmp_path / "v2", seed=2, sizes=LARGER)
    to = str(request.getfixturevalue("bucket")()) if kind == "s3" else str(tmp_path / "store")
    monkeypatch.setenv(*S3_PARTS)
    chance = random.Random(kills)
    with nursery() as publish, open_store(to) as store:
        assert publish(tmp_path / "v1", to)[0] == 0
        whole_s = publish(tmp_path / "v2", to)[1]
        killed = 0
        for number in range(5 * kills):
            rollback(first.id, store)
            gc(store, keep=1)  # keeps the latest and the newest, which are the two versions
            store.delete_folder(f"toy/versions/{second.id}")
            # Stratified: each part of the run is hit, whatever the machine's speed today.
            kill_after_s = whole_s * (number % kills + chance.random()) / kills
            status, took_s = publish(tmp_path / "v2", to, kill_after_s)
            if status == 0:
                whole_s = min(whole_s, took_s)  # the first one was slow, or the machine has found its pace again
            assert_latest_is_complete(store, {first.id, second.id})
            assert publish(tmp_path / "v2", to)[0] == 0
            assert_only(store, second, tmp_path / "v1", tmp_path / "v2")
            killed += status == signal.SIGKILL
            if killed >= kills:
                break
    assert killed >= kills


def assert_latest_is_complete(store: Store, ids: set[str]) -> None:
    assert verify_sizes(store) in ids


def verify_sizes(store: Store) -> str:
    files = StoredFiles(store, "LATEST")
    there = store.files(files.place.path)
    for entry in files.manifest().files:
        assert there[entry.path].size == entry.size
    return files.place.id


def assert_only(store: Store, latest: Manifest, *versions: Path) -> None:
    """The store has these versions, byte for byte, and nothing else; not even parts of uploads."""
    assert verify("LATEST", store).id == latest.id
    wanted = {"toy/LATEST"}
    for version in versions:
        id_ = Manifest.read(version).id
        wanted |= {f"toy/versions/{id_}/{path}" for path in contents(version)}
    assert set(store.files("")) == wanted
    if store.location.kind == "s3":
        found = store._rclone.call(
            "backend/command", "looking", command="list-multipart-uploads", fs=store.location.root
        )
        assert [uploads for uploads in found["result"].values() if uploads] == []


def test_s3_killed_during_upload_and_back_again(tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1", sizes=SIZES | {f"events/{part}.parquet": 8_000_000 for part in range(6)})
    service = tmp_path / "s3"
    endpoint = start_s3(service, survive=False)
    try:

        def kill_when_it_writes() -> None:
            with open_store("s3://matinee", endpoint=endpoint.url, **keys(endpoint)) as watching:
                while not watching.files(f"toy/versions/{manifest.id}/events"):
                    pass
            pid = (service / "process.json").read_text().partition(":")[2].partition(",")[0]
            _kill(int(pid))

        killer = threading.Thread(target=kill_when_it_writes)
        killer.start()
        with pytest.raises(StoreError):
            load(tmp_path / "v1", "s3://matinee", endpoint=endpoint.url, **keys(endpoint))
        killer.join()
        assert start_s3(service, survive=False) == endpoint
        published = load(tmp_path / "v1", "s3://matinee", endpoint=endpoint.url, **keys(endpoint))
        assert published.id == manifest.id
        with open_store("s3://matinee", endpoint=endpoint.url, **keys(endpoint)) as store:
            assert_only(store, manifest, tmp_path / "v1")
    finally:
        stop_s3(service)


def keys(endpoint: Endpoint) -> dict[str, Any]:
    return {"access_key": endpoint.access_key, "secret_key": endpoint.secret_key}
