"""A real HTTP server on a free port that misbehaves on request, and a listener that remembers what it was told."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Resource:
    """What the server has at one path.

    `script` holds what the next requests meet instead of a good answer: a status (with headers), or the number of
    bytes after which the connection is dropped. `gate` holds the body back after its first half until it is set.
    """

    body: bytes
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    script: list[int | tuple[int, dict[str, str]] | bytes] = field(default_factory=list)
    gate: threading.Event | None = None
    length: bool = True


class FileServer:
    """The server; `requests` lists (path, headers) in order, `url` makes addresses."""

    def __init__(self) -> None:
        self.files: dict[str, Resource] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def add(self, path: str, body: bytes, **options: Any) -> Resource:
        self.files[path] = Resource(body, **options)
        return self.files[path]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def stop(self) -> None:
        for resource in self.files.values():
            if resource.gate:
                resource.gate.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


def _handler(owner: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            owner.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            resource = owner.files.get(self.path.partition("?")[0])
            if resource is None:
                self._answer(404, {})
                return
            step = resource.script.pop(0) if resource.script else None
            if isinstance(step, tuple):
                self._answer(*step)
            elif isinstance(step, bytes):  # a raw answer, and the end of the connection
                self.wfile.write(step)
                self.close_connection = True
            else:
                self._send(resource, step)

        def _send(self, resource: Resource, drop_after: int | None) -> None:
            headers = dict(resource.headers)
            if resource.etag:
                headers["ETag"] = resource.etag
            if resource.modified:
                headers["Last-Modified"] = resource.modified
            asked = self.headers.get("If-None-Match")
            if asked and asked == resource.etag:
                self._answer(304, headers)
                return
            body, status = resource.body, 200
            wanted = self.headers.get("Range")
            if wanted and resource.ranges and self.headers.get("If-Range") in {None, resource.etag, resource.modified}:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self._answer(416, {"Content-Range": f"bytes */{len(body)}"})
                    return
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                body, status = body[start:], 206
            if resource.length:
                headers["Content-Length"] = str(len(body))
            else:
                headers["Connection"] = "close"
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                if drop_after is not None:
                    self.wfile.write(body[:drop_after])
                    self.close_connection = True
                elif resource.gate is not None:
                    half = len(body) // 2
                    self.wfile.write(body[:half])
                    self.wfile.flush()
                    resource.gate.wait(20)
                    self.wfile.write(body[half:])
                else:
                    self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def _answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.stop()


class Listener:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[str] = []
        self.advanced = 0

    def start(self, phase: str, _total: int | None, _unit: str) -> None:
        self.phases.append(phase)

    def advance(self, amount: int) -> None:
        assert amount >= 0
        self.advanced += amount

    def finish(self, note: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def listener() -> Listener:
    return Listener()
