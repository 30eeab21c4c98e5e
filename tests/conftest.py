"""What every test gets: folders of its own, no network but this machine, and a few small logs."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, configuration, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The oracle and the strategies are modules of this folder, which is not a package.
sys.path.insert(0, str(Path(__file__).parent))

# Fixtures that start real services: named here once, since one that is imported into two modules is started twice.
pytest_plugins = ("services", "openstack_services")

# HYPOTHESIS_PROFILE=thorough looks for long where `make test` looks for a minute. Failing examples are kept in the
# repository's root, as every test has a working directory of its own.
configuration.set_hypothesis_home_dir(Path(__file__).parent.parent / ".hypothesis")
settings.register_profile("usual", deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("usual"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))

SMALL_LOGS = {
    "ratings.csv": (
        b"userId,movieId,rating,timestamp\n"
        b"1,31,2.5,1260759144\n1,1029,3.0,1260759179\n2,31,4.0,1260759182\n7,10,5.0,1260759185\n"
        b"2,1029,4.5,1260759185\n1,10,3.5,1260759200\n7,31,1.0,1260759210\n9,52,2.0,1260759300\n"
    ),
    "u.data": b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n244\t51\t2\t880606923\n",
    "ratings.dat": b"1::122::5::838985046\n1::185::5::838983525\n2::231::5::838983392\n2::292::3::838983421\n",
    "small.inter": (
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        b"u1\ti1\t4.0\t978300760.0\nu1\ti2\t3.0\t978302109.0\nu2\ti1\t5.0\t978301968.5\nu3\ti 3\t1.0\t978300275.0\n"
    ),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "registry: needs a package index, so it may connect beyond this machine")
    # A shell starts what runs in its background with interrupts ignored, and so would be all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME, caches and the working directory are the test's own, here and in the processes it starts.

    Numba's compiled kernels lie next to their source and matplotlib's list of fonts in a folder of the whole run: both
    cost seconds and depend on nothing a test does.
    """
    home = tmp_path / "home"
    work = tmp_path / "work"
    for folder in (home, work):
        folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("MATINEE_", "OPENLINEAGE_", "RCLONE_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))
    monkeypatch.chdir(work)


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that connects beyond this machine fails, even where the code under test swallows the refusal."""
    if request.node.get_closest_marker("registry"):
        yield
        return
    attempts: list[str] = []

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family != socket.AF_UNIX and not _is_this_machine(str(address[0])):
                attempts.append(f"{address[0]}:{address[1]}")
                raise ConnectionRefusedError(f"tests connect to this machine only, not to {address}")
            return original(self, address)

        return connect

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not _is_this_machine(name):
            attempts.append(str(name))
            raise socket.gaierror(socket.EAI_NONAME, f"tests look up no names, not {name} either")
        return original_look_up(host, *arguments, **options)

    original_look_up = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    if attempts:
        pytest.fail(f"the test reached for the network: {', '.join(attempts)}; mark it 'registry' if it must")


def _is_this_machine(host: str) -> bool:
    if host in ("", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture
def small_logs(tmp_path: Path) -> dict[str, Path]:
    """A few rows in each usual dialect, on disk, by file name."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, log in SMALL_LOGS.items():
        (folder / name).write_bytes(log)
    return {name: folder / name for name in SMALL_LOGS}
