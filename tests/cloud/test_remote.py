"""`ssh` and `tunnel` with the real OpenSSH client against an SSH server on the loopback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import matinee.cloud
from matinee.cloud.remote import Forward
from matinee.errors import CloudError
from matinee.processes import end
from matinee.stack.status import ServiceStatus, StackStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.settings import Settings

asyncssh: Any = pytest.importorskip("asyncssh", reason="needs the SSH server of the extra 'dev'")

ADDRESS = "127.0.0.70"  # the double's first floating IP

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")


class _Account(asyncssh.SSHServer):
    """Lets the test's key in, and forwards."""

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        del dest_port, orig_host, orig_port
        return dest_host == "127.0.0.1"


async def _shell(process: asyncssh.SSHServerProcess[str]) -> None:
    """Runs the command as a login shell on the server would."""
    done = await asyncio.create_subprocess_shell(
        process.command or "exit 7", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await done.communicate()
    process.stdout.write(out.decode())
    process.stderr.write(err.decode())
    process.exit(done.returncode or 0)


@contextmanager
def _sshd(public_key: Path) -> Iterator[int]:
    """An SSH server with a new host key; its port."""
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    up = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        server = await asyncssh.create_server(
            _Account,
            ADDRESS,
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=str(public_key),
            process_factory=_shell,
        )
        ready.append(server.sockets[0].getsockname()[1])
        up.set()
        await stop.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert up.wait(20)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def to_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Puts the real ssh behind a script that adds a port, as only root may listen on 22."""
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("ssh")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def point(port: int) -> None:
        (folder / "ssh").write_text(f'#!/bin/sh\nexec {real} -F none -p {port} "$@"\n')
        (folder / "ssh").chmod(0o755)
        monkeypatch.setattr("matinee.cloud.remote._PORT", port)

    return point


@pytest.fixture
def settings(
    machine: Callable[..., Settings], public_key: Path, to_port: Callable[[int], None], tmp_path: Path
) -> Iterator[Settings]:
    """A server that is up and answers, and matinee.toml for the commands."""
    made = machine()
    matinee.cloud.up(settings=made)
    table = {"cloud": "kvm", "object_cloud": "chi", "public_key": str(public_key), "ssh_from": "203.0.113.7/32"}
    lines = [f"data_dir = {json.dumps(str(tmp_path / 'data'))}", "[cloud]"]
    Path("matinee.toml").write_text("\n".join(lines + [f"{key} = {json.dumps(value)}" for key, value in table.items()]))
    with _sshd(public_key) as port:
        to_port(port)
        yield made


def _matinee(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "matinee", "cloud", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def test_a_command_runs_there_and_its_exit_code_is_ours(settings: Settings) -> None:
    done = _matinee("ssh", "--", "echo", "-n", "'hello  there';", "exit", "3")
    assert (done.returncode, done.stdout) == (3, "hello  there")
    assert matinee.cloud.ssh("exit 5", settings=settings) == 5


def test_without_a_command_it_is_a_shell(settings: Settings) -> None:
    assert matinee.cloud.ssh(settings=settings) == 7


def test_status_sees_the_ssh_server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    server = matinee.cloud.status(settings=settings).server
    assert server is not None
    assert server.reachable
    with socket.create_server(("127.0.0.70", 0)) as silent:  # an open port is not an SSH server
        monkeypatch.setattr("matinee.cloud.remote._PORT", silent.getsockname()[1])
        monkeypatch.setattr("matinee.cloud.remote._TIMEOUT_S", 0.2)
        server = matinee.cloud.status(settings=settings).server
        assert server is not None
        assert not server.reachable


def test_a_new_server_at_the_old_address_is_no_alarm_but_another_key_is(
    settings: Settings, public_key: Path, to_port: Callable[[int], None]
) -> None:
    assert matinee.cloud.ssh("true", settings=settings) == 0
    known = settings.data_dir / "cloud" / "known_hosts"
    assert len(known.read_text().splitlines()) == 1
    with _sshd(public_key) as port:
        to_port(port)
        done = _matinee("ssh", "--", "true")
        assert done.returncode == 255
        assert "HOST IDENTIFICATION HAS CHANGED" in done.stderr
        matinee.cloud.down(settings=settings)
        matinee.cloud.up(settings=settings)
        assert matinee.cloud.ssh("true", settings=settings) == 0
    assert len(known.read_text().splitlines()) == 2


def _put_stack(tmp_path: Path, addresses: dict[str, str]) -> None:
    """A `matinee` on the server that prints what the real `matinee status --json` would for these services."""
    services = tuple(
        ServiceStatus(title.lower(), title, "healthy", address, 1, 1, 1, "") for title, address in addresses.items()
    )
    status = StackStatus(
        Path("/mnt/block"), running=True, healthy=True, listen="127.0.0.1", memory_bytes=1, services=services
    )
    text = tmp_path / "status.json"
    text.write_text(json.dumps(asdict(status), default=str))
    script = tmp_path / "bin" / "matinee"
    script.write_text(f'#!/bin/sh\n[ "$*" = "status --json --data-dir /mnt/block" ] && cat {text}\n')
    script.chmod(0o755)


@contextmanager
def _greeter() -> Iterator[int]:
    """A service that says hello to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    client.sendall(b"hello from the stack")

        thread = threading.Thread(target=greet)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.usefixtures("settings")
def test_a_tunnel_leads_to_the_services(tmp_path: Path) -> None:
    with _greeter() as port:  # its port is taken here, as server and client are one machine: so another one leads to it
        _put_stack(tmp_path, {"MLflow": f"http://127.0.0.1:{port}", "Postgres": f"127.0.0.1:{port}"})
        argv = [sys.executable, "-m", "matinee", "cloud", "tunnel"]
        tunnel = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert tunnel.stdout is not None
        assert tunnel.stderr is not None
        try:
            assert tunnel.stdout.readline().split() == ["service", "here", "on", "the", "server"]
            for service in ("MLflow", "Postgres"):
                found = re.fullmatch(rf"{service} +127\.0\.0\.1:(\d+) +{port}\n", tunnel.stdout.readline())
                assert found is not None
                assert int(found[1]) != port
                assert _ask(int(found[1])) == b"hello from the stack"
            assert "Until Ctrl-C" in tunnel.stdout.readline()
        finally:
            end(tunnel, patience_s=5)
            tunnel.stdout.close()
            tunnel.stderr.close()


def _ask(port: int) -> bytes:
    """What the service behind a port says, once the tunnel is there."""
    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                return client.recv(100)
        except ConnectionRefusedError:
            threading.Event().wait(0.05)
    pytest.fail("nothing listens at the tunnel's end")


def test_a_stack_that_is_not_up_yet(settings: Settings) -> None:
    with pytest.raises(CloudError, match=r"127.0.0.70: the stack on the server tells no ports \(.*status --wait'"):
        matinee.cloud.tunnel(settings=settings)


def test_the_ports_are_told_before_the_tunnel_is_open(settings: Settings, tmp_path: Path) -> None:
    """A port that is taken between the look and the tunnel ends ssh at once, rather than a tunnel with a hole."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    _put_stack(tmp_path, {"MLflow": f"http://127.0.0.1:{port}"})
    told: list[Any] = []

    def take(through: tuple[Forward, ...]) -> None:
        told.append((through, socket.create_server(("127.0.0.1", port))))

    code = matinee.cloud.tunnel(settings=settings, opened=take)
    ((through, taken),) = told
    taken.close()
    assert through == (Forward("MLflow", port, port),)
    assert code == 255


def test_there_is_no_server(machine: Callable[..., Settings]) -> None:
    with pytest.raises(CloudError, match=r"kvm: no server of 'matinee' is there; 'matinee cloud up' makes it"):
        matinee.cloud.ssh(settings=machine())
