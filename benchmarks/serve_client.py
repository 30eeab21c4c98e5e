"""The replay's own client as a crowd that never pauses: each connection asks again as soon as it has an answer."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import uvloop

from matinee.replay.address import Address
from matinee.replay.client import Pool, Reply
from matinee.replay.clock import Clock
from matinee.replay.latency import Latencies

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ask_each", "crowd", "requests"]

_TIME_LIMIT_S = 30.0


def requests(url: str, path: str, bodies: Sequence[bytes]) -> list[bytes]:
    """Whole requests, heads and all."""
    head = Address.of(url).head(path, None)
    return [b"%b%d\r\n\r\n%b" % (head, len(body), body) for body in bodies]


def ask_each(url: str, payloads: Sequence[bytes]) -> list[bytes]:
    """The answer to each request, one after the other."""
    crowd = _Crowd(payloads, len(payloads))
    _run(crowd, url, 1, None)
    return crowd.bodies


def crowd(url: str, payloads: Sequence[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """Requests a second, how long each took, and what one cost the client."""
    crowd = _Crowd(payloads)
    gc.collect()
    gc.freeze()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    _run(crowd, url, connections, seconds)
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    latencies = Latencies()
    latencies.add(np.array(crowd.durations_us, np.int64))
    answered = len(crowd.durations_us)
    return {
        "answered": answered,
        "per_s": round(answered / wall_s, 1),
        "latency_ms": latencies.facts(),
        "histogram": latencies.encoded(),
        "bytes_an_answer": round(crowd.bytes_in / answered),
        "client_cpu_us": round(1e6 * cpu_s / answered, 1),
    }


class _Crowd:
    """What all connections share."""

    def __init__(self, payloads: Sequence[bytes], limit: int | None = None) -> None:
        self._payloads, self._limit = payloads, limit
        self._next = self._under_way = 0
        self._is_over = False
        self.durations_us: list[int] = []
        self.bytes_in = 0
        self.bodies: list[bytes] = []
        self.failure: Exception | None = None

    async def play(self, url: str, connections: int, seconds: float | None) -> None:
        pool = Pool(Address.of(url), connections, _TIME_LIMIT_S, Clock())
        self._pool, self._over = pool, asyncio.Event()
        await pool.open()
        for _ in range(connections):
            self._go_on()
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._stop)
        await self._over.wait()
        pool.close()
        if self.failure:
            raise self.failure

    def answered(self, asked: _Asked, reply: Reply) -> None:
        self._under_way -= 1
        if reply.status != 200:
            self.failure = RuntimeError(f"{reply.status} {reply.fault} {reply.body[:300]!r}")
            self._is_over = True
        self.durations_us.append(reply.at_us - asked.sent_us)
        self.bytes_in += reply.bytes_in
        if self._limit is not None:
            self.bodies.append(reply.body)
        self._go_on()

    def _go_on(self) -> None:
        if self._is_over or self._next == self._limit:
            if not self._under_way:
                self._over.set()
            return
        self._under_way += 1
        self._pool.send(_Asked(self, self._payloads[self._next % len(self._payloads)]))
        self._next += 1

    def _stop(self) -> None:
        """What was sent is waited for, so that every answer counts."""
        self._is_over = True


class _Asked:
    """A request on its way."""

    __slots__ = ("crowd", "payload", "sent_us")

    def __init__(self, crowd: _Crowd, payload: bytes) -> None:
        self.crowd, self.payload, self.sent_us = crowd, payload, 0

    def ended(self, reply: Reply) -> None:
        self.crowd.answered(self, reply)


def _run(crowd: _Crowd, url: str, connections: int, seconds: float | None) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(crowd.play(url, connections, seconds))
