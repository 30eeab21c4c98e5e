"""Listing, showing, verifying, pulling, rolling back and collecting what was published."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from matinee.errors import (
    DiskFullError,
    UsageError,
    VersionConflictError,
    VersionDamagedError,
    VersionNotFoundError,
)
from matinee.schema.manifest import FileEntry, Manifest
from matinee.store import Store, StoredFiles, gc, list_versions, open_store, publish, pull, rollback, show, verify
from toy_version import SIZES, contents, make_version

if TYPE_CHECKING:
    from pathlib import Path


# For what does not depend on the kind of store.
on_a_folder = pytest.mark.parametrize("address", ["folder"], indirect=True)


@pytest.fixture
def three(store: Store, tmp_path: Path) -> list[str]:
    """Ids of three published versions, the oldest first."""
    ids = []
    for seed in (1, 2, 3):
        ids.append(make_version(tmp_path / f"v{seed}", seed=seed).id)
        publish(tmp_path / f"v{seed}", store)
    return ids


def tamper(store: Store, tmp_path: Path, id_: str, path: str) -> None:
    """Flip one byte of a published file, its size unchanged."""
    content = bytearray(store.required(f"toy/versions/{id_}/{path}", ""))
    content[len(content) // 2] ^= 1
    (tmp_path / "tampered").write_bytes(content)
    store.send(tmp_path, "tampered", f"toy/versions/{id_}/{path}")


def test_versions_are_listed_the_newest_first(store: Store, three: list[str]) -> None:
    listed = list_versions(store)
    assert [version.id for version in listed] == three[::-1]
    assert [version.latest for version in listed] == [True, False, False]
    assert {(version.files, version.size_bytes, version.rows) for version in listed} == {
        (len(SIZES), sum(SIZES.values()), SIZES["events/train.parquet"] // 10)
    }
    assert all(abs(version.published.timestamp() - time.time()) < 60 for version in listed)
    assert list_versions(store, "other") == ()


@on_a_folder
def test_an_empty_store_has_no_versions(store: Store) -> None:
    assert list_versions(store) == ()
    with pytest.raises(VersionNotFoundError, match="nothing is published"):
        verify("LATEST", store)


def test_incomplete_versions_are_not_listed_and_not_used(store: Store, three: list[str], tmp_path: Path) -> None:
    store.delete_file(f"toy/versions/{three[1]}/manifest.json")
    assert [version.id for version in list_versions(store)] == [three[2], three[0]]
    for use in (verify, rollback, show):
        with pytest.raises(VersionNotFoundError, match="no complete version"):
            use(three[1], store)  # type: ignore[operator]  # the three have no common type
    with pytest.raises(VersionNotFoundError, match="no complete version"):
        pull(three[1], tmp_path / "out", store)
    assert not (tmp_path / "out").exists()


@on_a_folder
def test_a_version_with_an_unreadable_manifest_is_listed_with_a_note(store: Store, three: list[str]) -> None:
    store.write(f"toy/versions/{three[0]}/manifest.json", b"{}")
    notes = {version.id: version.note for version in list_versions(store)}
    assert "not a manifest" in notes.pop(three[0])
    assert set(notes.values()) == {""}


def test_a_version_is_meant_by_many_words(store: Store, three: list[str]) -> None:
    last = three[2]
    unique = next(last[:length] for length in range(1, 17) if sum(id_.startswith(last[:length]) for id_ in three) == 1)
    for words in ("LATEST", "toy", "toy@LATEST", "toy@", last, unique, f"toy@{last}", f"toy@{unique}"):
        assert show(words, store).version.id == last
    for words in ("nothing", "ffffffffffffffff", "toy@ffffffffffffffff", "other@LATEST", "other@0123456789abcdef"):
        with pytest.raises(VersionNotFoundError):
            show(words, store)
    for words in ("../toy", "toy@../x", "@", "", "a/b", "-toy", "toy@xyz"):
        with pytest.raises(UsageError):
            show(words, store)


@on_a_folder
def test_a_word_that_means_several_versions_is_refused(address: str, tmp_path: Path) -> None:
    with open_store(address) as store:
        ids = []
        for seed in range(17):  # more than there are first digits, so that two of them share one
            ids.append(make_version(tmp_path / f"v{seed}", seed=seed, sizes={"a": 1}).id)
            if any(ids[-1][0] == id_[0] for id_ in ids[:-1]):
                break
        for number in range(len(ids)):
            publish(tmp_path / f"v{number}", store)
        with pytest.raises(UsageError, match="more than one"):
            show(ids[-1][0], store)
        make_version(tmp_path / "other", name="other", seed=1)
        publish(tmp_path / "other", store)
        with pytest.raises(UsageError, match="several data sets"):
            show("LATEST", store)
        assert show("other", store).version.dataset == "other"


@on_a_folder
def test_show_has_manifest_and_run(store: Store, three: list[str]) -> None:
    shown = show("LATEST", store)
    assert shown.manifest.id == three[2]
    assert shown.run == {"wall_s": 1.5}
    assert shown.certificate is None


def test_verify_names_what_is_wrong(store: Store, three: list[str], tmp_path: Path) -> None:
    at = f"toy/versions/{three[0]}"
    assert verify(three[0], store).size_bytes == sum(SIZES.values())
    tamper(store, tmp_path, three[0], "events/train.parquet")
    store.delete_file(f"{at}/rejects.csv")
    store.send(tmp_path, "tampered", f"{at}/extra.bin")
    store.send(tmp_path, "tampered", f"{at}/ids/users.parquet")
    with pytest.raises(VersionDamagedError) as damaged:
        verify(three[0], store)
    text = str(damaged.value)
    assert "events/train.parquet has SHA-256" in text
    assert "rejects.csv is missing" in text
    assert "extra.bin is there, but not in the manifest" in text
    assert "ids/users.parquet has 20000 bytes, expected 100" in text
    assert "training" not in text
    verify(three[1], store)


@on_a_folder
def test_a_manifest_of_another_version_is_damage(store: Store, three: list[str]) -> None:
    store.write(f"toy/versions/{three[0]}/manifest.json", store.required(f"toy/versions/{three[1]}/manifest.json", ""))
    with pytest.raises(VersionDamagedError, match=f"is of toy@{three[1]}"):
        verify(three[0], store)


def test_pull_gives_the_same_bytes(store: Store, three: list[str], tmp_path: Path) -> None:
    pulled = pull("toy", tmp_path / "deep" / "out", store)
    assert (pulled.id, pulled.fetched_files, pulled.unchanged) == (three[2], len(SIZES), False)
    assert contents(tmp_path / "deep" / "out") == contents(tmp_path / "v3")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    again = pull("toy", tmp_path / "deep" / "out", store)
    assert (again.fetched_files, again.unchanged) == (0, True)


def test_pull_goes_on_where_it_was_and_takes_an_empty_folder(store: Store, three: list[str], tmp_path: Path) -> None:
    partial = tmp_path / f"out.partial-{three[2]}"
    (partial / "raw").mkdir(parents=True)
    (partial / "raw" / "a log.zip").write_bytes((tmp_path / "v3" / "raw" / "a log.zip").read_bytes())
    (partial / "rejects.csv").write_bytes(b"x" * SIZES["rejects.csv"])
    (partial / "raw" / "a log.zip.0a1b2c.partial").write_bytes(b"half")
    (tmp_path / "out").mkdir()
    assert pull(three[2], tmp_path / "out", store).fetched_files == len(SIZES) - 1
    assert contents(tmp_path / "out") == contents(tmp_path / "v3")
    assert not partial.exists()


@on_a_folder
def test_pull_leaves_what_is_in_the_way(store: Store, three: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    before = contents(tmp_path / "v1")
    for out in (tmp_path / "out", tmp_path / "v1", tmp_path / "out" / "mine"):
        with pytest.raises(VersionConflictError, match="choose another"):
            pull(three[2], out, store)
    assert contents(tmp_path / "out") == {"mine": b"keep"}
    assert contents(tmp_path / "v1") == before


def test_pull_of_a_damaged_version_shows_nothing(store: Store, three: list[str], tmp_path: Path) -> None:
    tamper(store, tmp_path, three[2], "raw/a log.zip")
    with pytest.raises(VersionDamagedError, match=r"raw/a log\.zip"):
        pull("LATEST", tmp_path / "out", store)
    assert not (tmp_path / "out").exists()
    store.delete_file(f"toy/versions/{three[2]}/raw/a log.zip")
    with pytest.raises(VersionDamagedError, match=r"raw/a log\.zip: is missing"):
        pull("LATEST", tmp_path / "out", store)


@on_a_folder
def test_pull_to_a_full_disk_is_said_and_taken_up(store: Store, tmp_path: Path, small_disk: Path) -> None:
    make_version(tmp_path / "v1", sizes=SIZES | {"raw/a log.zip": 2_000_000})
    publish(tmp_path / "v1", store)
    with pytest.raises(DiskFullError, match="no space left"):
        pull("LATEST", small_disk / "out", store)
    assert not (small_disk / "out").exists()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    pull("LATEST", small_disk / "out", store)
    assert contents(small_disk / "out") == contents(tmp_path / "v1")


@pytest.mark.parametrize("path", ["../../escape", "/tmp/escape", "a/../../../escape"])
def test_pull_writes_nowhere_else(tmp_path: Path, path: str) -> None:
    manifest = make_version(tmp_path / "v1")
    with open_store(str(tmp_path / "store")) as store:
        publish(tmp_path / "v1", store)
        hostile = replace(manifest, files=(*manifest.files, FileEntry(path, 4, "0" * 64)))
        store.write(f"toy/versions/{manifest.id}/manifest.json", hostile.to_json().encode())
        with pytest.raises(VersionDamagedError, match="inside the version"):
            pull("LATEST", tmp_path / "x" / "out", store)
    assert not list(tmp_path.rglob("escape"))


def test_rollback_points_latest_back_and_forth(store: Store, three: list[str]) -> None:
    back = rollback(three[0], store)
    assert (back.id, back.previous, back.unchanged) == (three[0], three[2], False)
    assert show("LATEST", store).version.id == three[0]
    assert [version.latest for version in list_versions(store)] == [False, False, True]
    assert rollback(three[0], store).unchanged
    assert rollback(three[2], store).previous == three[0]


@on_a_folder
def test_rollback_refuses_a_version_with_missing_files(store: Store, three: list[str]) -> None:
    store.delete_file(f"toy/versions/{three[0]}/rejects.csv")
    with pytest.raises(VersionDamagedError, match=r"rejects\.csv is missing"):
        rollback(three[0], store)
    assert show("LATEST", store).version.id == three[2]


@on_a_folder
def test_a_damaged_latest_is_said_and_mended_by_rollback(store: Store, three: list[str]) -> None:
    store.write("toy/LATEST", b"../../etc\n")
    with pytest.raises(VersionDamagedError, match="16 hex digits"):
        show("toy", store)
    with pytest.raises(VersionDamagedError, match="16 hex digits"):
        gc(store, keep=1)
    assert len(list_versions(store)) == 3
    rollback(three[1], store)
    assert show("toy", store).version.id == three[1]


def test_gc_keeps_the_newest_and_the_latest(store: Store, three: list[str]) -> None:
    rollback(three[0], store)
    planned = gc(store, keep=1, dry_run=True)
    assert [version.id for version in planned.deleted] == [three[1]]
    assert len(list_versions(store)) == 3
    done = gc(store, keep=1)
    assert (done.deleted, done.freed_bytes) == (planned.deleted, sum(SIZES.values()))
    assert [version.id for version in list_versions(store)] == [three[2], three[0]]
    assert not [path for path in store.files("") if three[1] in path]
    verify(three[0], store)
    verify(three[2], store)
    with pytest.raises(UsageError, match="1 or more"):
        gc(store, keep=0)


def test_gc_takes_remains_when_they_are_a_day_old(store: Store, three: list[str], tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v4", seed=4)
    at = f"toy/versions/{manifest.id}"
    store.send(tmp_path / "v4", "rejects.csv", f"{at}/rejects.csv")
    assert gc(store, keep=9).incomplete == ()
    assert [remains.id for remains in gc(store, keep=9, incomplete_now=True, dry_run=True).incomplete] == [manifest.id]
    os.utime(tmp_path / "v4" / "rejects.csv", (0, time.time() - 100_000))
    store.send(tmp_path / "v4", "rejects.csv", f"{at}/rejects.csv")
    done = gc(store, keep=9)
    assert [(remains.id, remains.files) for remains in done.incomplete] == [(manifest.id, 1)]
    assert store.files(at) == {}
    assert [version.id for version in list_versions(store)] == three[::-1]


def test_stored_files_are_what_lineage_needs(store: Store, three: list[str], tmp_path: Path) -> None:
    files = StoredFiles(store, "LATEST")
    manifest = Manifest.read(tmp_path / "v3")
    assert files.manifest() == manifest
    assert files.where.endswith(f"toy/versions/{three[2]}")
    assert (files.exists("rejects.csv"), files.exists("nothing")) == (True, False)
    assert files.sha256("rejects.csv") == manifest.file("rejects.csv").sha256
    assert json.loads(files.read("run.json")) == {"wall_s": 1.5}
    with pytest.raises(VersionNotFoundError):
        files.read("nothing")
