"""Large files on Swift, cut into segments: whole when they are read, and no segment without its file stays behind."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fuse import needs_fuse
from matinee.store import gc, mount, open_store, publish, pull, unmount, verify
from slow_network import slow_network
from toy_version import SIZES, contents, make_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.schema.manifest import Manifest
    from openstack_services import OpenStack

pytestmark = pytest.mark.xdist_group("openstack")

CHUNK = "256Ki"
CHUNK_BYTES = 256 * 1024
LARGE = SIZES | {"raw/a log.zip": 1_000_000, "events/ü train.parquet": 600_000}


@pytest.fixture
def address(container: Callable[..., str]) -> str:
    return container(chunk_size=CHUNK)


def segments(openstack: OpenStack, address: str) -> dict[str, int]:
    """How many segments lie under the name of each file."""
    found: dict[str, int] = {}
    for name in openstack.objects(f"{address.partition(':')[2]}_segments"):
        path = name.rpartition("/")[0].rpartition("/")[0]
        found[path] = found.get(path, 0) + 1
    return found


def expected(*manifests: Manifest) -> dict[str, int]:
    return {
        f"{manifest.name}/versions/{manifest.id}/{entry.path}": math.ceil(entry.size / CHUNK_BYTES)
        for manifest in manifests
        for entry in manifest.files
        if entry.size > CHUNK_BYTES
    }


def test_large_files_are_published_verified_and_pulled(openstack: OpenStack, address: str, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1", sizes=LARGE)
    with open_store(address) as store:
        publish(tmp_path / "v1", store)
        assert segments(openstack, address) == expected(manifest)
        assert store.files(f"toy/versions/{manifest.id}")["raw/a log.zip"].size == 1_000_000
        verify("LATEST", store)
        pull("LATEST", tmp_path / "copy", store)
        assert publish(tmp_path / "v1", store).unchanged
    assert contents(tmp_path / "copy") == contents(tmp_path / "v1")


@needs_fuse
def test_a_large_file_is_read_through_a_mount(address: str, tmp_path: Path) -> None:
    make_version(tmp_path / "v1", sizes=LARGE)
    with open_store(address) as store:
        publish(tmp_path / "v1", store)
        mount("LATEST", tmp_path / "seen", store)
    try:
        assert contents(tmp_path / "seen") == contents(tmp_path / "v1")
        with (tmp_path / "seen" / "raw/a log.zip").open("rb") as file:
            file.seek(CHUNK_BYTES - 10)  # across the border of two segments
            found = file.read(20)
        assert found == (tmp_path / "v1" / "raw/a log.zip").read_bytes()[CHUNK_BYTES - 10 : CHUNK_BYTES + 10]
    finally:
        unmount(tmp_path / "seen")


def test_gc_leaves_no_segment_of_what_it_deletes(openstack: OpenStack, address: str, tmp_path: Path) -> None:
    manifests = [make_version(tmp_path / f"v{seed}", seed=seed, sizes=LARGE) for seed in (1, 2)]
    with open_store(address) as store:
        for seed in (1, 2):
            publish(tmp_path / f"v{seed}", store)
        assert segments(openstack, address) == expected(*manifests)
        # As if an upload had died: segments without a file, and more of them under the name of one that is there.
        old = f"toy/versions/{manifests[0].id}"
        for path in ("lost.bin", "raw/a log.zip"):
            openstack.swift("PUT", f"{address.partition(':')[2]}_segments/{old}/{path}/died/00000000", content=b"x")
        gc(store, keep=1)
        assert segments(openstack, address) == expected(manifests[1])
        verify("LATEST", store)


def test_a_damaged_large_file_is_replaced_with_its_segments(openstack: OpenStack, address: str, tmp_path: Path) -> None:
    manifest = make_version(tmp_path / "v1", sizes=LARGE)
    with open_store(address) as store:
        publish(tmp_path / "v1", store)
        container = address.partition(":")[2]
        first = next(name for name in openstack.objects(f"{container}_segments") if "a log.zip" in name)
        openstack.swift("PUT", f"{container}_segments/{first}", content=b"\0" * CHUNK_BYTES)
        assert publish(tmp_path / "v1", store, recheck=True).sent_files == 1
        verify("LATEST", store)
    assert segments(openstack, address) == expected(manifest)


PUBLISH = "import sys; from pathlib import Path; from matinee.store import open_store, publish\n"
PUBLISH += "with open_store(sys.argv[2]) as store: print(publish(Path(sys.argv[1]), store).id)"


def test_what_a_killed_publisher_left_is_taken_away_by_the_next(
    openstack: OpenStack, container: Callable[..., str], tmp_path: Path
) -> None:
    manifest = make_version(tmp_path / "v1", sizes=LARGE)
    with slow_network(openstack.storage_url, rate_bytes_per_s=500_000) as network:
        address = container(chunk_size=CHUNK, storage_url=network.url)
        command = [sys.executable, "-c", PUBLISH, str(tmp_path / "v1"), address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as publisher:
            network.await_sent(800_000)
            publisher.send_signal(signal.SIGKILL)
        left = segments(openstack, address)
        assert left
        assert not openstack.objects(f"{address.partition(':')[2]}/toy/LATEST")
        network.rate_bytes_per_s = None
        with open_store(address) as store:
            assert publish(tmp_path / "v1", store).id == manifest.id
            verify("LATEST", store)
    assert segments(openstack, address) == expected(manifest)
