"""A cloud for each test: two sites of the double in one clouds.yaml, an SSH key, settings, and short waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from matinee.settings import CloudSettings, Settings

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from double import Double

    Configure = Callable[..., Settings]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The library warns of parameters that it passes to itself; a user never sees these warnings."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack"))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matinee.cloud.waiting._POLL_S", 0.0)
    monkeypatch.setattr("matinee.cloud.clouds._BACKOFF_S", 0.0)


@pytest.fixture(scope="session")
def public_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("key") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key.with_suffix(".pub")


@pytest.fixture
def kvm() -> Iterator[Double]:
    from double import Double

    with Double("KVM@TACC") as double:
        yield double
    assert double.problems == []


@pytest.fixture
def chi() -> Iterator[Double]:
    from double import Double

    with Double("CHI@TACC") as double:
        yield double
    assert double.problems == []


@pytest.fixture
def clouds_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the file, from entries by name."""
    path = tmp_path / "clouds.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))

    def write(**entries: dict[str, Any]) -> Path:
        path.write_text(yaml.safe_dump({"clouds": entries}, sort_keys=False))
        return path

    return write


@pytest.fixture
def machine(
    kvm: Double, chi: Double, clouds_yaml: Callable[..., Path], public_key: Path, tmp_path: Path
) -> Callable[..., Settings]:
    """Settings for the two sites; keyword arguments change `[cloud]`."""
    clouds_yaml(kvm=kvm.entry(), chi=chi.entry())
    usual = {"cloud": "kvm", "object_cloud": "chi", "public_key": public_key, "ssh_from": "203.0.113.7/32"}
    return lambda **changes: Settings(data_dir=tmp_path / "data", cloud=CloudSettings(**usual | changes))
