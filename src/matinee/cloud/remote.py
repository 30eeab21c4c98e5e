"""SSH to the server: the command line for a shell, a command or a tunnel, and whether anybody answers there."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from matinee.cloud.user_data import MOUNT
from matinee.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matinee.cloud.wanted import Wanted

__all__ = ["Forward", "Target", "answers", "forwards", "ssh_argv", "tunnel_argv"]

_PORT: Final = 22
_TIMEOUT_S: Final = 3.0
_ASK_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to log in.

    Attributes:
        server_id: what the host key is remembered under, as addresses are given to other servers later.
        key: the private key's file; None leaves the choice to ssh.
        known_hosts: a file of our own, so that the user's one is left alone.
    """

    address: str
    user: str
    server_id: str
    key: Path | None
    known_hosts: Path

    @classmethod
    def of(cls, want: Wanted, server_id: str, address: str, data_dir: Path) -> Target:
        """The server's target."""
        key = want.public_key.with_suffix("") if want.public_key and want.public_key.suffix == ".pub" else None
        return cls(address, want.ssh_user, server_id, key, data_dir / "cloud" / "known_hosts")


@dataclass(frozen=True, slots=True)
class Forward:
    """One service: its port on the server, and the port on this machine that leads to it."""

    service: str
    remote_port: int
    local_port: int

    @property
    def address(self) -> str:
        """Where it is on this machine."""
        return f"127.0.0.1:{self.local_port}"


def ssh_argv(target: Target, command: Sequence[str] = (), options: Sequence[str] = ()) -> list[str]:
    """The words of an ssh call; `command` reaches the server's shell as ssh passes it, joined by spaces."""
    target.known_hosts.parent.mkdir(parents=True, exist_ok=True)
    return [
        "ssh",
        *("-o", "StrictHostKeyChecking=accept-new"),
        *("-o", f"UserKnownHostsFile={target.known_hosts.absolute()}"),
        *("-o", f"HostKeyAlias=matinee-{target.server_id}"),
        *("-o", "ServerAliveInterval=15"),
        *(("-i", str(target.key)) if target.key else ()),
        *("-l", target.user),
        *options,
        target.address,
        *command,
    ]


def tunnel_argv(target: Target, through: Sequence[Forward]) -> list[str]:
    """The words of an ssh call that only forwards, and ends at once where a port cannot be had."""
    pairs = [f"127.0.0.1:{each.local_port}:127.0.0.1:{each.remote_port}" for each in through]
    options = ["-N", "-o", "ExitOnForwardFailure=yes", *(word for pair in pairs for word in ("-L", pair))]
    return ssh_argv(target, options=options)


def forwards(target: Target) -> tuple[Forward, ...]:
    """The services of the server's stack, each with a port here: the same number, or a free one where that is taken.

    Raises:
        CloudError: the server cannot be asked, or its stack is not up yet.
    """
    argv = ssh_argv(target, ["matinee", "status", "--json", "--data-dir", MOUNT], ["-o", "BatchMode=yes"])
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CloudError(
            f"{target.address}: cannot ask the server by ssh ({error}); 'matinee cloud status' says more"
        ) from None
    ports = _ports(done.stdout)
    if not ports:
        why = (done.stderr.strip() or done.stdout.strip() or f"ssh ended with {done.returncode}").splitlines()[-1]
        raise CloudError(
            f"{target.address}: the stack on the server tells no ports ({why}); a new server takes some minutes: "
            "'matinee cloud ssh -- cloud-init status --wait' waits for it"
        )
    return tuple(Forward(service, port, _local(port)) for service, port in ports.items())


def answers(address: str) -> bool:
    """Whether an SSH server answers there; its greeting counts, not the open port alone."""
    try:
        with socket.create_connection((address, _PORT), timeout=_TIMEOUT_S) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _local(port: int) -> int:
    """`port`, or a free one where something listens on it here."""
    for wish in (port, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wish))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return port


def _ports(text: str) -> dict[str, int]:
    """Service -> port on the server, from what `matinee status --json` prints there; empty where it printed none."""
    try:
        services = {service["title"]: service["address"] for service in json.loads(text)["services"]}
        # Some are told as a URL, some as host:port.
        parts = {title: urlsplit(address if "//" in address else f"//{address}") for title, address in services.items()}
        return {title: part.port for title, part in parts.items() if part.port}
    except (ValueError, KeyError, TypeError):
        return {}
