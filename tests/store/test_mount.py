"""Mounting: a version as a read-only folder, real FUSE; skipped loudly where a machine has none."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fuse import FUSERMOUNT, needs_fuse
from matinee.errors import StoreError, UsageError, VersionConflictError, VersionNotFoundError
from matinee.store import Store, mount, publish, unmount
from toy_version import contents, make_version

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def published(store: Store, tmp_path: Path) -> str:
    make_version(tmp_path / "v1")
    return publish(tmp_path / "v1", store).id


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "mount point"
    yield folder
    if FUSERMOUNT is not None:
        subprocess.run([FUSERMOUNT, "-uz", str(folder)], capture_output=True, check=False)


@needs_fuse
def test_a_version_is_mounted_and_taken_away(store: Store, published: str, directory: Path, tmp_path: Path) -> None:
    mounted = mount("LATEST", directory, store)
    assert (mounted.id, mounted.dataset, mounted.unchanged) == (published, "toy", False)
    store.close()  # the mount has a process of its own
    assert contents(directory) == contents(tmp_path / "v1")
    with pytest.raises(OSError, match="Read-only"):
        (directory / "new").write_text("x")
    assert unmount(directory)
    assert list(directory.iterdir()) == []
    assert not unmount(directory)
    assert not list((tmp_path / "home").rglob("mount-*.log"))


@needs_fuse
def test_mounting_twice_is_one_mount(store: Store, published: str, directory: Path) -> None:
    first = mount(published, directory, store)
    again = mount(published, directory, store)
    assert (again.unchanged, again.pid) == (True, first.pid)
    unmount(directory)


@needs_fuse
def test_what_does_not_exist_is_not_mounted(store: Store, published: str, directory: Path) -> None:
    del published
    with pytest.raises(VersionNotFoundError):
        mount("ffffffffffffffff", directory, store)
    assert not directory.exists()


@needs_fuse
def test_a_folder_in_use_is_left_alone(store: Store, published: str, directory: Path, tmp_path: Path) -> None:
    directory.mkdir()
    (directory / "mine").write_text("keep")
    with pytest.raises(VersionConflictError, match="not empty"):
        mount(published, directory, store)
    (directory / "mine").unlink()
    mount(published, directory, store)
    make_version(tmp_path / "v2", seed=2)
    other = publish(tmp_path / "v2", store).id
    with pytest.raises(VersionConflictError, match="unmount"):
        mount(other, directory, store)
    unmount(directory)


@needs_fuse
def test_a_mount_whose_rclone_was_killed_is_taken_away(store: Store, published: str, directory: Path) -> None:
    os.kill(mount(published, directory, store).pid, signal.SIGKILL)
    assert unmount(directory)
    assert list(directory.iterdir()) == []


@needs_fuse
def test_foreign_mounts_are_left_alone() -> None:
    with pytest.raises(UsageError, match="none of Matinee's"):
        unmount(Path("/proc"))


def test_without_fuse_it_says_what_to_install(
    store: Store, published: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StoreError, match="fuse"):
        mount(published, directory, store)
