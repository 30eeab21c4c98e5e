"""Where a server of this machine listens, and who may come in: shared by `matinee serve` and `matinee dashboard`."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final

from matinee.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["LOOPBACK", "host_of", "listen_on", "local_names", "read_token", "url_of"]

LOOPBACK: Final = "127.0.0.1"
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def listen_on(address: str, port: int, *, open_to_all: bool) -> socket.socket:
    """A socket that listens; `port` 0 takes a free one, `open_to_all` says that no token is asked for.

    Raises:
        UsageError: the address is none, or others can reach it and no token is asked for.
        ServiceError: it cannot be listened on.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise UsageError(f"listen is {address!r}, expected an IP address such as 127.0.0.1 or 0.0.0.0") from None
    if open_to_all and not ip.is_loopback:
        raise UsageError(f"{address} can be reached by others; give every request a token with --token-file")
    listener = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ServiceError(f"{address}:{port} cannot be listened on ({error}); choose another with --port") from None
    listener.listen(2048)  # so that nobody is refused while workers start
    listener.set_inheritable(True)
    return listener


def read_token(path: Path) -> str:
    """The token in a file that nobody else can read.

    Raises:
        UsageError: others can read it, or there is none in it.
    """
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a token ({error})") from None
    if mode & 0o077:
        raise UsageError(f"{path}: others may read it (mode {mode & 0o777:o}, expected 600); run 'chmod 600 {path}'")
    if not token or len(token.split()) != 1:
        raise UsageError(f"{path}: expected one token without spaces; 'openssl rand -hex 32' makes one")
    return token


def url_of(address: str, port: int) -> str:
    """How a browser or a client reaches what listens there."""
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


def local_names(address: str) -> frozenset[str]:
    """What a request may call this machine that listens at a loopback address, which may be 127.0.0.2 as well.

    A page in somebody's browser that makes its own name lead here (DNS rebinding) sends another.
    """
    return _LOCAL_NAMES | {f"[{address}]" if ":" in address else address}


def host_of(headers: Mapping[bytes, bytes]) -> str:
    """The name in the Host header, without its port."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
