"""A network that is slow, or breaks, between a client and a real service: a small TCP proxy of the tests' own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SlowNetwork", "slow_network"]

_PIECE_BYTES = 16_384
_POLL_S = 0.02


class SlowNetwork:
    """A proxy in front of one service.

    Attributes:
        url: the service's address, by way of the proxy.
        sent_bytes: what clients have sent so far.
        rate_bytes_per_s: how fast each connection lets them send; None is as fast as it goes.
    """

    def __init__(self, url: str, rate_bytes_per_s: int | None) -> None:
        target = urlsplit(url)
        self._target = (str(target.hostname), int(target.port or 80))
        self._door = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._is_over = False
        self.url = target._replace(netloc=f"127.0.0.1:{self._door.getsockname()[1]}").geturl()
        self.rate_bytes_per_s = rate_bytes_per_s
        self.sent_bytes = 0
        self._start(self._accept)

    def await_sent(self, sent_bytes: int, *, timeout_s: float = 60.0) -> None:
        """Wait until clients have sent so much."""
        deadline_s = time.monotonic() + timeout_s
        while self.sent_bytes < sent_bytes:
            assert time.monotonic() < deadline_s, f"only {self.sent_bytes} bytes were sent"
            time.sleep(_POLL_S)

    def close(self) -> None:
        """End all connections."""
        self._is_over = True
        self._door.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._door.settimeout(_POLL_S)
        while not self._is_over:
            with contextlib.suppress(TimeoutError, OSError):
                client, _ = self._door.accept()
                self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        with client:
            try:
                service = socket.create_connection(self._target, timeout=5)
            except OSError:
                return
            with service:
                back = threading.Thread(target=self._pass, args=(service, client, False))
                back.start()
                self._pass(client, service, True)
                back.join()

    def _pass(self, source: socket.socket, target: socket.socket, is_sent: bool) -> None:
        source.settimeout(_POLL_S)
        while not self._is_over:
            try:
                piece = source.recv(_PIECE_BYTES)
            except TimeoutError:
                continue
            except OSError:
                break
            if not piece:
                break
            if is_sent:
                if self.rate_bytes_per_s:
                    time.sleep(len(piece) / self.rate_bytes_per_s)
                self.sent_bytes += len(piece)
            with contextlib.suppress(OSError):
                target.sendall(piece)
                continue
            break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def slow_network(url: str, *, rate_bytes_per_s: int | None = None) -> Iterator[SlowNetwork]:
    """A proxy in front of the service at `url`, closed at the end."""
    network = SlowNetwork(url, rate_bytes_per_s)
    try:
        yield network
    finally:
        network.close()
