"""Reports beside a version: read back, whole with their first file, never changed, and no part of the version."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from matinee.errors import StoreError, VersionConflictError, VersionNotFoundError
from matinee.store import StoredFolder, gc, list_versions, publish, publish_report, pull, verify
from toy_version import make_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.store import PublishedReport, Store

REPLAY = "20261125-120000-0123456789ab"
NAMES = ("report.json", "report.html", "ranks.parquet")
pytestmark = pytest.mark.parametrize(
    "address", ["folder", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))], indirect=True
)


@pytest.fixture
def version(tmp_path: Path, store: Store) -> str:
    """The id of a published version."""
    make_version(tmp_path / "version")
    return publish(tmp_path / "version", store).id


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A folder with a report, and with what is none of it."""
    folder = tmp_path / "replay"
    folder.mkdir()
    for name in (*NAMES, "one.asked"):
        (folder / name).write_text(f"this is {name}")
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES}


def send(folder: Path, version: str, store: Store) -> PublishedReport:
    return publish_report(folder, hashes(folder), dataset="toy", version=version, replay=REPLAY, store=store)


def test_a_report_lies_beside_its_version_and_is_no_part_of_it(
    store: Store, version: str, report: Path, tmp_path: Path
) -> None:
    published = send(report, version, store)
    assert (published.location, published.unchanged) == (store.show(f"toy/reports/{version}/{REPLAY}"), False)
    assert set(store.files(f"toy/reports/{version}/{REPLAY}")) == set(NAMES)
    files = StoredFolder.at(store, published.location)
    assert files is not None
    assert {name: files.sha256(name) for name in NAMES} == hashes(report)
    assert files.read("report.html") == b"this is report.html"
    assert not files.exists("one.asked")
    assert send(report, version, store).unchanged
    assert verify(version, store).id == version
    pull(version, tmp_path / "copy", store)
    assert [found.id for found in list_versions(store)] == [version]
    assert not gc(store, keep=1, incomplete_now=True).deleted
    assert files.exists("report.json")


def test_a_report_outlives_its_version(store: Store, version: str, report: Path, tmp_path: Path) -> None:
    published = send(report, version, store)
    make_version(tmp_path / "newer", seed=1)
    publish(tmp_path / "newer", store)
    assert [gone.id for gone in gc(store, keep=1).deleted] == [version]
    files = StoredFolder.at(store, published.location)
    assert files is not None
    assert files.exists("report.json")


def test_a_published_report_is_never_changed(store: Store, version: str, report: Path) -> None:
    before = hashes(report)
    published = send(report, version, store)
    (report / "report.json").write_text("something else")
    with pytest.raises(VersionConflictError, match="a published report is never changed"):
        send(report, version, store)
    files = StoredFolder.at(store, published.location)
    assert files is not None
    assert files.sha256("report.json") == before["report.json"]


def test_what_broke_off_is_completed(store: Store, version: str, report: Path) -> None:
    place = f"toy/reports/{version}/{REPLAY}"
    store.write(f"{place}/ranks.parquet", b"half of it")
    assert not send(report, version, store).unchanged
    assert {name: store.sha256(f"{place}/{name}") for name in NAMES} == hashes(report)


def test_what_the_store_does_not_give_back_is_no_report(store: Store, version: str, report: Path) -> None:
    wrong = hashes(report) | {"report.html": "0" * 64}
    with pytest.raises(StoreError, match=r"report\.html: reads back with SHA-256"):
        publish_report(report, wrong, dataset="toy", version=version, replay=REPLAY, store=store)
    assert "report.json" not in store.files(f"toy/reports/{version}/{REPLAY}")


def test_there_is_nothing_to_publish_beside(store: Store, report: Path) -> None:
    with pytest.raises(VersionNotFoundError, match="no complete version"):
        send(report, "0123456789abcdef", store)
    assert not store.files("toy")


def test_a_folder_of_another_store_is_not_in_this_one(store: Store) -> None:
    assert StoredFolder.at(store, "s3://another/toy/reports/1/2") is None
