"""A full disk while spilling or writing: one line, nothing half-written, and it works once there is room."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.errors import DiskFullError
from matinee.etl.transform import transform
from matinee.schema.transform_settings import TransformSettings
from own_disk import own_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL_BYTES = 1 << 20  # the small disk
ROWS = 150_000  # some 3 MB of text, 2 MB of spill, 6 MB of version
LIMIT_BYTES = 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; only root can mount one."""
    with own_disk(tmp_path / "small", f"size={SMALL_BYTES}") as disk:
        yield disk


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    rows = zip(*(rng.integers(0, high, ROWS).tolist() for high in (9_000, 5_000, 10**9)), strict=True)
    path = tmp_path / "log.csv"
    path.write_bytes(b"user,item,time\n" + b"".join(b"%d,%d,%d\n" % row for row in rows))
    return path


def make_room(disk: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={64 << 20}", str(disk)], check=True)


def assert_told_in_a_line(error: DiskFullError, disk: Path) -> None:
    message = str(error)
    assert "\n" not in message
    assert str(disk) in message
    assert "no space left" in message.lower()


@pytest.mark.parametrize("spilling", [True, False], ids=["spill", "output"])
def test_full_disk(spilling: bool, small_disk: Path, source: Path, tmp_path: Path) -> None:
    roomy = tmp_path / "roomy"
    roomy.mkdir()
    out, temp = (roomy / "log", small_disk) if spilling else (small_disk / "log", roomy)
    settings = TransformSettings(name="log", raw=False)
    with pytest.raises(DiskFullError) as caught:
        transform(source, out, settings, memory_limit_bytes=LIMIT_BYTES, temp_dir=temp)
    assert_told_in_a_line(caught.value, small_disk)
    assert not list(small_disk.iterdir())
    assert not list(roomy.iterdir())
    make_room(small_disk)
    version = transform(source, out, settings, memory_limit_bytes=LIMIT_BYTES, temp_dir=temp)
    assert version.fresh
    assert version.certificate.reading.events == ROWS
    assert not list(temp.iterdir()) or temp == small_disk == out.parent


def test_raw_copy_on_a_full_disk(small_disk: Path, source: Path, tmp_path: Path) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    with pytest.raises(DiskFullError) as caught:
        transform(source, small_disk / "log", TransformSettings(name="log", raw=True), temp_dir=temp)
    assert_told_in_a_line(caught.value, small_disk)
    assert not list(small_disk.iterdir())
