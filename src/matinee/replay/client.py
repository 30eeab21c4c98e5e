"""The HTTP client: some connections that are kept to one server, and a queue before them that has no end.

Nothing is dropped or thinned out here: what finds no free connection waits in the queue, and how long it has waited is
in its latency, which counts from when it was due. It costs as little as can be, for it shares its cores with the
server: one callback a request, no task, no stream, no parsing but httptools'.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.replay.address import Address
    from matinee.replay.clock import Clock

__all__ = ["LOST", "NO_HTTP", "TIME_LIMIT", "Exchange", "Pool", "Reply"]

TIME_LIMIT: Final = "time limit"
LOST: Final = "connection lost"
NO_HTTP: Final = "no HTTP"

_LARGEST_BODY_BYTES: Final = 1 << 20  # a list of 100 items has a hundredth of it
_LONGEST_IDLE_US: Final = 20_000_000  # servers hang up on idle connections; a new one is safer than a race with that
_MOST_RETRY_S: Final = 60.0


class Reply(NamedTuple):
    """What came back.

    Attributes:
        status: of HTTP; 0 where there is no whole answer.
        body: of the answer.
        fault: why there is no answer: TIME_LIMIT, LOST or NO_HTTP; else empty.
        retry_after_s: how long the server wants to be left alone.
        bytes_in: that came over the connection for it.
        at_us: when.
    """

    status: int
    body: bytes
    fault: str
    retry_after_s: float
    bytes_in: int
    at_us: int


class Exchange(Protocol):
    """A request on its way.

    Attributes:
        payload: its bytes.
        sent_us: when they were last given to a connection; 0 before that.
    """

    payload: bytes
    sent_us: int

    def ended(self, reply: Reply) -> None:
        """Called once for each time it is sent: the connection is free again and may be used at once."""


class Pool:
    """All connections to one server.

    Args:
        address: of the server.
        size: the most connections.
        time_limit_s: of an exchange from when it is sent; its connection is given up then.
        clock: that tells when.
    """

    def __init__(self, address: Address, size: int, time_limit_s: float, clock: Clock) -> None:
        self._address, self._size = address, size
        self.url = address.url
        self.limit_s, self.limit_us = time_limit_s, int(time_limit_s * 1e6)
        self.now_us: Callable[[], int] = clock.now_us
        self._queue: deque[Exchange] = deque()
        self._idle: deque[_Connection] = deque()  # used in turn, so that each worker of a server has its share
        self._open: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._tls = ssl.create_default_context() if address.is_secure else None
        self._closed = False

    async def open(self) -> None:
        """Open all connections, so that none of the exchanges pays for it.

        Raises:
            OSError: the server cannot be reached.
        """
        await asyncio.gather(*(self._connect() for _ in range(self._size)))

    def send(self, exchange: Exchange, *, first: bool = False) -> None:
        """Send it on a free connection, now or as soon as there is one; `first` is before all that waits."""
        if self._closed:
            return
        while self._idle and (first or not self._queue):
            connection = self._idle.popleft()
            now_us = self.now_us()
            if now_us - connection.idle_since_us < _LONGEST_IDLE_US:
                connection.begin(exchange, now_us)
                return
            connection.give_up()
        if first:
            self._queue.appendleft(exchange)
        else:
            self._queue.append(exchange)
        self._grow()

    def take_back(self, kind: type[Exchange]) -> int:
        """Forget those exchanges of this kind that have not been sent; how many."""
        before = len(self._queue)
        self._queue = deque(exchange for exchange in self._queue if not isinstance(exchange, kind))
        return before - len(self._queue)

    def sweep(self) -> None:
        """Give up what has lasted too long; to be called a few times a second."""
        now_us = self.now_us()
        for connection in [each for each in self._open if 0 < each.deadline_us < now_us]:
            connection.fail(TIME_LIMIT)

    def close(self) -> None:
        """Hang up; what is under way or waits is not told of any more."""
        self._closed = True
        self._queue.clear()
        for task in self._opening:
            task.cancel()
        for connection in [*self._open]:
            connection.give_up()

    def opened(self, connection: _Connection) -> None:
        """There is one more."""
        if self._closed:
            connection.give_up()
            return
        self._open.add(connection)
        self._idle.append(connection)
        self._serve()

    def ended(self, connection: _Connection, exchange: Exchange, reply: Reply) -> None:
        """A connection has nothing to do any more; what follows from its exchange goes before all that waits."""
        self._idle.append(connection)
        exchange.ended(reply)
        self._serve()

    def gone(self, connection: _Connection) -> None:
        """There is one less."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._grow()

    def _serve(self) -> None:
        while self._queue and self._idle:
            self._idle.popleft().begin(self._queue.popleft(), self.now_us())

    def _grow(self) -> None:
        """Open as many connections as there are waiting, as long as there may be more."""
        while len(self._opening) < len(self._queue) and len(self._open) + len(self._opening) < self._size:
            task = asyncio.get_running_loop().create_task(self._connect_for_queue())
            self._opening.add(task)
            task.add_done_callback(self._tried)

    async def _connect_for_queue(self) -> None:
        try:
            await self._connect()
        except OSError:  # TimeoutError is one
            if self._queue:
                self._queue.popleft().ended(Reply(0, b"", LOST, 0.0, 0, self.now_us()))

    def _tried(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled():
            task.result()  # a defect in the callback of an exchange is told to the loop
            self._grow()

    async def _connect(self) -> None:
        async with asyncio.timeout(self.limit_s):
            await asyncio.get_running_loop().create_connection(
                partial(_Connection, self), self._address.host, self._address.port, ssl=self._tls
            )


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    __slots__ = (
        "_body",
        "_bytes_in",
        "_exchange",
        "_is_gone",
        "_is_kept",
        "_is_whole",
        "_parser",
        "_pool",
        "_retry_after_s",
        "_transport",
        "deadline_us",
        "idle_since_us",
    )

    _transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self.deadline_us = self.idle_since_us = 0
        self._is_gone = False

    def begin(self, exchange: Exchange, now_us: int) -> None:
        """Send it; the connection has nothing else to do."""
        self._exchange, self._body, self._bytes_in, self._is_whole = exchange, b"", 0, False
        self._retry_after_s = 0.0
        self.deadline_us = now_us + self._pool.limit_us
        exchange.sent_us = now_us
        self._transport.write(exchange.payload)

    def fail(self, fault: str) -> None:
        """The exchange ends without an answer, and the connection with it: what comes later would be another's."""
        exchange, self._exchange = self._exchange, None
        self.give_up()
        if exchange is not None:
            exchange.ended(Reply(0, b"", fault, 0.0, self._bytes_in, self._pool.now_us()))

    def give_up(self) -> None:
        """Hang up, and be no connection of the pool any more."""
        self.deadline_us = 0
        self._exchange, self._is_gone = None, True
        self._transport.abort()
        self._pool.gone(self)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream it is a Transport
        self.idle_since_us = self._pool.now_us()
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:
            self.give_up()  # an answer that nobody asked for
            return
        self._bytes_in += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.fail(NO_HTTP)
            return
        if self._is_whole:
            self._finish()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._is_gone:
            self.fail(LOST)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 11 and name.lower() == b"retry-after" and value.isdigit():
            self._retry_after_s = min(_MOST_RETRY_S, float(value))

    def on_body(self, part: bytes) -> None:
        self._body = self._body + part if self._body else part
        if len(self._body) > _LARGEST_BODY_BYTES:
            raise ValueError("too large")  # the parser turns it into one of its own

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:  # what has less comes before the answer
            self._is_whole = True
            self._is_kept = self._parser.should_keep_alive()  # the parser has forgotten it afterwards

    def _finish(self) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None  # noqa: S101 - for mypy; data_received looks
        now_us = self._pool.now_us()
        self.deadline_us, self.idle_since_us = 0, now_us
        reply = Reply(self._parser.get_status_code(), self._body, "", self._retry_after_s, self._bytes_in, now_us)
        if not self._is_kept:
            self.give_up()
            exchange.ended(reply)
            return
        self._pool.ended(self, exchange, reply)
