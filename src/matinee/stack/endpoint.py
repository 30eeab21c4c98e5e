"""An S3 endpoint with its keys, made once for a data folder and kept there in files that only their owner can read."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from matinee.errors import DiskFullError, ServiceError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Endpoint", "Ports", "find_port", "free_ports", "is_free", "read_or_make", "renew_ports", "write_private"]

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_LOWEST: Final = 20_000
_HIGHEST: Final = 32_000  # below the range that the kernel hands out to outgoing connections
_RPC_DISTANCE: Final = 10_000
_ATTEMPTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An S3 service: its address, and keys that may do everything there."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of the embedded S3's parts; those with `_rpc` are gRPC."""

    s3: int
    s3_rpc: int
    filer: int
    filer_rpc: int
    volume: int
    volume_rpc: int
    master: int
    master_rpc: int
    admin: int
    admin_rpc: int


def read_or_make(path: Path) -> tuple[Endpoint, Ports]:
    """The endpoint that the file at `path` remembers, or a new one with random keys and free ports, remembered there.

    Raises:
        ServiceError: the file is not one of ours.
        DiskFullError: no space for it.
    """
    try:
        plain = json.loads(path.read_bytes())
        return Endpoint(**plain["endpoint"]), Ports(**plain["ports"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServiceError(
            f"{path}: cannot be read ({error!r}); without its keys the data beside it stays locked: put it back from a "
            "copy, or move the whole folder away to begin anew"
        ) from None
    return renew_ports(path, None)


def renew_ports(path: Path, endpoint: Endpoint | None) -> tuple[Endpoint, Ports]:
    """Free ports under the same keys, or new keys too where there is no endpoint yet; remembered at `path`."""
    ports = free_ports()
    made = Endpoint(
        url=f"http://127.0.0.1:{ports.s3}",
        access_key=endpoint.access_key if endpoint else secrets.token_hex(10).upper(),
        secret_key=endpoint.secret_key if endpoint else secrets.token_urlsafe(30),
    )
    write_private(path, json.dumps({"endpoint": asdict(made), "ports": asdict(ports)}, indent=2) + "\n")
    return made, ports


def free_ports() -> Ports:
    """Ports of this machine that nobody listens on now."""
    found: list[int] = []
    for _ in range(_ATTEMPTS):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        # The last is the admin's gRPC port: SeaweedFS's worker looks for it that far from the admin's own, whatever the
        # options say.
        is_last = len(found) == len(Ports.__dataclass_fields__) - 2
        admin = port - _RPC_DISTANCE
        if port in found or not is_free(port) or (is_last and (admin in found or not is_free(admin))):
            continue
        if is_last:
            return Ports(*(*found, admin, port))
        found.append(port)
    raise ServiceError(f"ports: none free among {_LOWEST} to {_HIGHEST} on 127.0.0.1; stop what uses them")


def find_port(taken: set[int]) -> int:
    """A loopback port that nobody listens on now and that is not among `taken`, where it is noted."""
    for _ in range(_ATTEMPTS):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise ServiceError(f"ports: none free among {_LOWEST} to {_HIGHEST} on 127.0.0.1; stop what uses them")


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen on a port of an address of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port is free again while it winds down
        try:
            candidate.bind((address, port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, as a whole.

    Raises:
        DiskFullError: no space.
        ServiceError: it cannot be written.
    """
    beside = path.with_name(f"{path.name}.{secrets.token_hex(3)}.partial")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise DiskFullError(f"{path}: no space left; free some and run again") from None
        raise ServiceError(f"{path}: cannot be written ({error.strerror}); check who owns the folder") from None
