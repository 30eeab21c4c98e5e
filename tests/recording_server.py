"""A tiny server for tests of the replay: it writes down what arrives and when, and can be as unfriendly as wanted."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RecordingServer", "Request", "answer", "problem"]


@dataclass
class Request:
    """What came over the wire.

    Attributes:
        path, headers, body: as they were sent; names of headers in lower case.
        connection: its number, from 0.
        number: how many requests came before, on all connections.
    """

    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    number: int


@dataclass
class RecordingServer:
    """Answers on 127.0.0.1 in a thread of its own for the length of a `with` block.

    Attributes:
        behave: given a request, what to do instead of answering: bytes are sent as they are, a number is a status, a
            float is a delay in seconds before the usual answer, None hangs up, True is the usual answer.
        requests: all that arrived, in order.
        told: numbers of events that were acknowledged, in order; each is there once.
    """

    behave: Callable[[Request], bytes | int | float | bool | None] = lambda _: True
    host: str = "127.0.0.1"
    ssl: Any = None
    requests: list[Request] = field(default_factory=list)
    told: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._connections = 0
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.ssl else 'http'}://{host}:{self.port}"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, self.host, 0, ssl=self.ssl)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._connections = self._connections, self._connections + 1
        try:
            while (request := await self._read(reader, number)) is not None:
                behaviour = self.behave(request)
                if type(behaviour) is float:
                    await asyncio.sleep(behaviour)
                if behaviour is None:
                    return
                writer.write(
                    behaviour
                    if isinstance(behaviour, bytes)
                    else problem(behaviour)
                    if type(behaviour) is int
                    else self._answer(request)
                )
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Request | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(first.split()[1], headers, json.loads(body or b"null"), connection, len(self.requests))
        self.requests.append(request)
        return request

    def _answer(self, request: Request) -> bytes:
        path, body = request.path, request.body
        if path.endswith("/readyz"):
            return answer({"status": "ready", "model": "toy@0"})
        if "/history" in path:
            return answer({"user": 0, "known": True, "events": 0, "items": []})
        if path.endswith("/recommend"):
            return answer({"user": body["user"], "items": [body["target"]], "known": True, "model": "toy@0", "rank": 1})
        numbers = [event["number"] for event in body.get("events", [body])]
        new = [number for number in numbers if number not in self.told]
        self.told += new
        return answer({"new": len(new), "known": len(numbers) - len(new)})


def answer(body: Any) -> bytes:
    content = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )


def problem(status: int, headers: bytes = b"") -> bytes:
    content = b'{"detail": "no"}'
    return b"HTTP/1.1 %d No\r\n%bcontent-length: %d\r\n\r\n%b" % (status, headers, len(content), content)
