"""Publishing while the store or the way to it fails: real servers killed and started again, tokens that expire."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from matinee.errors import StoreUnreachableError
from matinee.stack.s3 import running_s3, start_s3
from matinee.store import gc, open_store, publish, pull, rollback, verify
from slow_network import SlowNetwork, slow_network
from toy_version import SIZES, contents, make_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matinee.stack.s3 import Endpoint
    from matinee.store import Store
    from openstack_services import OpenStack

on_swift = pytest.mark.xdist_group("openstack")

LARGE = SIZES | {"raw/a log.zip": 3_000_000}
RATE = 1_500_000  # bytes a second of each connection, so the largest file takes two seconds
MIDDLE = 1_000_000  # bytes sent, at which something breaks


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    """Two versions of one data set, small and large."""
    make_version(tmp_path / "v1", seed=1)
    make_version(tmp_path / "v2", seed=2, sizes=LARGE)
    return tmp_path / "v1", tmp_path / "v2"


@pytest.fixture
def mended(openstack: OpenStack) -> Iterator[OpenStack]:
    """Keystone and Swift, whole again for the next test whatever becomes of this one."""
    yield openstack
    openstack.mend()


@contextmanager
def when_sent(network: SlowNetwork, sent_bytes: int, action: Callable[[], object]) -> Iterator[None]:
    """Do something at a moment in the middle of the block, and be done with it at its end."""
    start = network.sent_bytes

    def wait() -> None:
        network.await_sent(start + sent_bytes)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@on_swift
@pytest.mark.parametrize("options", [{}, {"chunk_size": "512Ki"}], ids=["whole", "segmented"])
def test_a_token_that_is_worth_nothing_in_the_middle_of_an_upload(
    openstack: OpenStack, container: Callable[..., str], versions: tuple[Path, Path], options: dict[str, str]
) -> None:
    with slow_network(openstack.storage_url, rate_bytes_per_s=RATE) as network:
        address = container(storage_url=network.url, **options)
        with open_store(address) as store:
            with when_sent(network, MIDDLE, openstack.revoke_tokens):
                published = publish(versions[1], store)
            network.rate_bytes_per_s = None
            openstack.revoke_tokens()
            assert verify("LATEST", store).id == published.id
            assert publish(versions[1], store).unchanged
    left = len(openstack.objects(f"{address.partition(':')[2]}_segments"))
    assert left == (6 if options else 0)


def comes_through(
    store: Store, network: SlowNetwork, versions: tuple[Path, Path], restart: Callable[[], object]
) -> None:
    """A publish in whose middle the store is killed and started again is done in the end, and what was there stays."""
    first = publish(versions[0], store)
    network.rate_bytes_per_s = RATE
    with when_sent(network, MIDDLE, restart):
        second = publish(versions[1], store)
    network.rate_bytes_per_s = None
    assert verify("LATEST", store).id == second.id
    assert publish(versions[1], store).unchanged
    assert rollback(first.id, store).previous == second.id
    assert verify("LATEST", store).id == first.id


@on_swift
@pytest.mark.parametrize("names", [("proxy",), ("object", "container")], ids=["proxy", "disks"])
def test_a_swift_that_dies_and_comes_back(
    mended: OpenStack,
    container: Callable[..., str],
    versions: tuple[Path, Path],
    names: tuple[str, ...],
    tmp_path: Path,
) -> None:
    def restart() -> None:
        mended.kill(*names)
        mended.start(*names)

    with slow_network(mended.storage_url) as network:
        address = container(storage_url=network.url, chunk_size="512Ki")
        with open_store(address) as store:
            comes_through(store, network, versions, restart)
            make_version(tmp_path / "v3", seed=3)
            publish(tmp_path / "v3", store)
            gc(store, keep=1)
        # What broken attempts left goes with the version at the latest; the small one that is kept has no segments.
        assert mended.objects(f"{address.partition(':')[2]}_segments") == []


@on_swift
def test_a_swift_that_stays_away(
    mended: OpenStack,
    container: Callable[..., str],
    versions: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["matinee.store.publish"], "_PAUSES_S", (0.1, 0.1))
    with slow_network(mended.storage_url, rate_bytes_per_s=RATE) as network:
        address = container(storage_url=network.url, chunk_size="512Ki")
        with open_store(address) as store:
            first = publish(versions[0], store)
            with (
                when_sent(network, MIDDLE, lambda: mended.kill("proxy")),
                pytest.raises(StoreUnreachableError, match="no answer"),
            ):
                publish(versions[1], store)
            mended.start("proxy")
            network.rate_bytes_per_s = None
            assert verify("LATEST", store).id == first.id
            second = publish(versions[1], store)
            assert verify("LATEST", store).id == second.id
            assert 0 < second.sent_files < second.files
        assert len(mended.objects(f"{address.partition(':')[2]}_segments")) == 6


def test_an_s3_that_dies_and_comes_back(tmp_path: Path, versions: tuple[Path, Path]) -> None:
    folder = tmp_path / "s3"

    def restart() -> None:
        os.kill(json.loads((folder / "process.json").read_text())["pid"], signal.SIGKILL)
        assert start_s3(folder, survive=False) == endpoint

    with running_s3(folder) as endpoint, slow_network(endpoint.url) as network:
        keys = {"access_key": endpoint.access_key, "secret_key": endpoint.secret_key}
        with open_store("s3://matinee", endpoint=network.url, **keys) as store:
            comes_through(store, network, versions, restart)


@pytest.mark.xdist_group("s3")
def test_a_slow_network_costs_time_and_nothing_else(
    on_s3: Endpoint, bucket: Callable[[], str], versions: tuple[Path, Path], tmp_path: Path
) -> None:
    with (
        slow_network(on_s3.url, rate_bytes_per_s=100_000) as network,
        open_store(bucket(), endpoint=network.url) as store,
    ):
        published = publish(versions[0], store)
        assert verify("LATEST", store).id == published.id
        pull("LATEST", tmp_path / "copy", store)
        assert network.sent_bytes > published.size_bytes
    assert contents(tmp_path / "copy") == contents(versions[0])
