"""Every test of a store's promises runs three times: on a folder, on a real S3, and on a real Swift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matinee.store import Store, open_store
from own_disk import own_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(
    params=[
        "folder",
        pytest.param("s3", marks=pytest.mark.xdist_group("s3")),
        pytest.param("swift", marks=pytest.mark.xdist_group("openstack")),
    ]
)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store's address."""
    if request.param == "s3":
        return str(request.getfixturevalue("bucket")())
    if request.param == "swift":
        return str(request.getfixturevalue("container")())
    return str(tmp_path / "store")


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An empty store, open."""
    with open_store(address) as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; only root can mount one."""
    with own_disk(tmp_path / "small") as disk:
        yield disk
