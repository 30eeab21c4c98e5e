"""Every test of a store's promises runs twice: on a folder, and on a real S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matinee.store import Store, open_store
from services import bucket, on_s3, s3_service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["bucket", "on_s3", "s3_service"]


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store's address."""
    if request.param == "s3":
        return str(request.getfixturevalue("bucket")())
    return str(tmp_path / "store")


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An empty store, open."""
    with open_store(address) as opened:
        yield opened
