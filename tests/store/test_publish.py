"""Publishing: what is there afterwards, what is not done twice, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from matinee.errors import (
    DiskFullError,
    MatineeError,
    StoreDeniedError,
    StoreUnreachableError,
    VersionConflictError,
    VersionDamagedError,
    VersionNotFoundError,
)
from matinee.processes import birth_of, is_same
from matinee.schema.manifest import Manifest
from matinee.store import Store, open_store, publish, verify
from matinee.store.connection import PARTIAL
from toy_version import SIZES, contents, make_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.stack.s3 import Endpoint


def stored(store: Store) -> dict[str, int]:
    return {path: entry.size for path, entry in store.files("").items()}


def expected(*versions: Path) -> set[str]:
    paths = {"toy/LATEST"}
    for version in versions:
        paths |= {f"toy/versions/{Manifest.read(version).id}/{path}" for path in contents(version)}
    return paths


def test_a_published_version_has_every_file_and_is_the_latest(store: Store, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1")
    published = publish(tmp_path / "v1", store)
    assert (published.id, published.dataset) == (manifest.id, "toy")
    assert (published.files, published.sent_files, published.sent_bytes) == (len(SIZES), len(SIZES), manifest.size)
    assert (published.unchanged, published.previous, published.latest) == (False, "", True)
    assert set(stored(store)) == expected(tmp_path / "v1")
    assert store.read("toy/LATEST") == f"{manifest.id}\n".encode()
    for path, content in contents(tmp_path / "v1").items():
        assert (store.read(f"toy/versions/{manifest.id}/{path}")) == content


def test_publishing_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    make_version(tmp_path / "v1")
    publish(tmp_path / "v1", store)
    before = {path: entry.modified for path, entry in store.files("", times=True).items()}
    again = publish(tmp_path / "v1", store)
    assert (again.unchanged, again.sent_files, again.previous) == (True, 0, again.id)
    assert {path: entry.modified for path, entry in store.files("", times=True).items()} == before


def test_a_second_version_leaves_the_first_alone(store: Store, tmp_path: Path) -> None:
    first = make_version(tmp_path / "v1", seed=1)
    second = make_version(tmp_path / "v2", seed=2)
    publish(tmp_path / "v1", store)
    assert publish(tmp_path / "v2", store).previous == first.id
    assert set(stored(store)) == expected(tmp_path / "v1", tmp_path / "v2")
    assert verify(first.id, store).id == first.id
    assert verify("LATEST", store).id == second.id


def test_an_unfinished_publish_is_taken_up_and_only_the_rest_is_sent(store: Store, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1")
    at = f"toy/versions/{manifest.id}"
    store.send(tmp_path / "v1", "raw/a log.zip", f"{at}/raw/a log.zip")
    store.send(tmp_path / "v1", "rejects.csv", f"{at}/rejects.csv")
    (tmp_path / "wrong").write_bytes(b"x" * SIZES["ids/users.parquet"])  # the right size, other bytes
    store.send(tmp_path, "wrong", f"{at}/ids/users.parquet")
    store.send(tmp_path, "wrong", f"{at}/ids/users.parquet.0a1b2c{PARTIAL}")
    published = publish(tmp_path / "v1", store)
    assert published.sent_files == len(SIZES) - 2
    assert set(stored(store)) == expected(tmp_path / "v1")
    verify(manifest.id, store)


def test_remains_are_deleted_even_where_nothing_else_is_to_do(store: Store, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1")
    publish(tmp_path / "v1", store)
    store.send(tmp_path / "v1", "rejects.csv", f"toy/versions/{manifest.id}/rejects.csv.0a1b2c{PARTIAL}")
    assert not publish(tmp_path / "v1", store).unchanged
    assert set(stored(store)) == expected(tmp_path / "v1")


def test_a_missing_file_is_sent_again_and_a_flipped_byte_with_recheck(store: Store, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1")
    publish(tmp_path / "v1", store)
    at = f"toy/versions/{manifest.id}"
    store.delete_file(f"{at}/rejects.csv")
    assert publish(tmp_path / "v1", store).sent_files == 1
    (tmp_path / "wrong").write_bytes(b"x" * SIZES["ids/users.parquet"])
    store.send(tmp_path, "wrong", f"{at}/ids/users.parquet")
    assert publish(tmp_path / "v1", store).sent_files == 0
    assert publish(tmp_path / "v1", store, recheck=True).sent_files == 1
    verify(manifest.id, store)


def test_other_bytes_under_a_published_id_are_refused(store: Store, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1")
    make_version(tmp_path / "other", content_seed=99)
    publish(tmp_path / "v1", store)
    before = stored(store)
    with pytest.raises(VersionConflictError, match=r"same id.*training/toy_train\.txt"):
        publish(tmp_path / "other", store)
    assert stored(store) == before
    verify(manifest.id, store)


def test_a_damaged_manifest_in_the_store_is_written_anew(store: Store, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1")
    publish(tmp_path / "v1", store)
    path = f"toy/versions/{manifest.id}/manifest.json"
    content = store.required(path, "")
    sha256 = manifest.files[0].sha256
    for damaged in (b"{", content.replace(sha256.encode(), sha256[::-1].encode())):
        store.write(path, damaged)
        assert publish(tmp_path / "v1", store).sent_files == 0
        assert store.read(path) == content


def test_a_changed_local_file_is_named_and_nothing_is_published(store: Store, tmp_path: Path) -> None:
    make_version(tmp_path / "v1")
    (tmp_path / "v1" / "rejects.csv").write_bytes(b"y" * 20)
    with pytest.raises(VersionDamagedError, match=r"rejects\.csv.*transform again"):
        publish(tmp_path / "v1", store)
    assert not [path for path in stored(store) if path.endswith(("LATEST", "manifest.json"))]


def test_a_folder_without_manifest_is_no_version(store: Store, tmp_path: Path) -> None:
    with pytest.raises(VersionNotFoundError):
        publish(tmp_path, store)
    assert stored(store) == {}


@pytest.mark.parametrize("path", ["../escape", "/etc/passwd", "a/../../b", "a//b", "manifest.json", "a\\b", "a\0b", ""])
def test_a_manifest_with_a_path_outside_is_refused(tmp_path: Path, path: str) -> None:
    manifest = make_version(tmp_path / "v1")
    text = manifest.to_json().replace('"rejects.csv"', json.dumps(path))
    (tmp_path / "v1" / "manifest.json").write_text(text)
    with open_store(str(tmp_path / "store")) as store, pytest.raises(VersionDamagedError, match="inside the version"):
        publish(tmp_path / "v1", store)


def test_two_publishers_at_once_both_succeed(address: str, tmp_path: Path) -> None:
    sizes = SIZES | {"raw/a log.zip": 3_000_000}
    ids = {make_version(tmp_path / f"v{seed}", seed=seed, sizes=sizes).id for seed in (1, 2)}
    failures: list[BaseException] = []

    def work(version: str) -> None:
        try:
            with open_store(address) as store:
                publish(tmp_path / version, store)
        except MatineeError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(version,)) for version in ("v1", "v1", "v2", "v2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_store(address) as store:
        assert set(stored(store)) == expected(tmp_path / "v1", tmp_path / "v2")
        assert {verify(id_, store).id for id_ in ids} == ids
        assert verify("LATEST", store).id in ids


@pytest.mark.xdist_group("s3")
def test_wrong_keys_and_dead_endpoints_are_told_apart(on_s3: Endpoint, tmp_path: Path) -> None:
    make_version(tmp_path / "v1")
    secret = "not-the-secret-at-all"
    with (
        open_store("s3://matinee", access_key=on_s3.access_key, secret_key=secret) as store,
        pytest.raises(StoreDeniedError, match="check the keys") as denied,
    ):
        publish(tmp_path / "v1", store)
    assert secret not in str(denied.value)
    assert "\n" not in str(denied.value)
    with (
        open_store("s3://matinee", endpoint="http://127.0.0.1:9") as store,
        pytest.raises(StoreUnreachableError, match=r"127\.0\.0\.1:9"),
    ):
        publish(tmp_path / "v1", store)


@pytest.mark.xdist_group("s3")
def test_keys_are_in_no_argument(bucket: Callable[[], str], on_s3: Endpoint) -> None:
    with open_store(bucket()) as store:
        pid = store._rclone._process.pid
        argv = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
        assert "rcd" in argv
        assert on_s3.secret_key not in argv
        assert store._rclone._password not in argv
        assert on_s3.secret_key not in repr(store.location)


def test_a_full_disk_is_said_and_leaves_nothing_half_written(small_disk: Path, tmp_path: Path) -> None:
    make_version(tmp_path / "v1", seed=1)
    make_version(tmp_path / "v2", seed=2, sizes=SIZES | {"raw/a log.zip": 2_000_000})
    with open_store(str(small_disk / "store")) as store:
        first = publish(tmp_path / "v1", store)
        with pytest.raises(DiskFullError, match="no space left"):
            publish(tmp_path / "v2", store)
        assert verify("LATEST", store).id == first.id
        assert [path for path in stored(store) if path.endswith(PARTIAL)] == []
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
        publish(tmp_path / "v2", store)
        assert set(stored(store)) == expected(tmp_path / "v1", tmp_path / "v2")


def test_rclone_ends_with_its_publisher(tmp_path: Path) -> None:
    code = "import sys, time; from matinee.store import open_store; s = open_store(sys.argv[1]); "
    code += "print(s._rclone._process.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdout is not None
        pid = int(publisher.stdout.readline())
        birth = birth_of(pid)
        assert is_same(pid, birth)
        publisher.kill()
        publisher.wait()
        for _ in range(500):
            if not is_same(pid, birth):
                return
            threading.Event().wait(0.01)
    pytest.fail("rclone outlives the process that started it")
