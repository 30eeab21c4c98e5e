"""The guards of conftest.py hold: they fail what they should, and let through what they should."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]


def test_folders_are_the_tests_own(tmp_path: Path) -> None:
    assert Path.home() == tmp_path / "home"
    assert Path.cwd() == tmp_path / "work"
    assert Path(os.environ["XDG_CACHE_HOME"]).is_relative_to(tmp_path)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1) == b"x"


def test_a_swallowed_connection_elsewhere_fails_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where the plugins of conftest.py lie
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(
        """
        import contextlib, socket, pytest

        def test_address():
            with socket.socket() as s, contextlib.suppress(OSError):
                s.connect(("192.0.2.1", 80))

        def test_name():
            with contextlib.suppress(OSError):
                socket.create_connection(("example.org", 80))

        @pytest.mark.registry
        def test_marked():
            assert "connect" not in vars(socket.socket)  # nothing stands before the inherited one
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*reached for the network: 192.0.2.1:80*", "*reached for the network: example.org*"])
