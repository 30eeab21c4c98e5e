"""What stands before every request: host, token, rate and time are checked, whatever goes wrong becomes one problem."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from matinee.errors import MatineeError
from matinee.serve.address import host_of
from matinee.serve.refusals import BusyError, ForeignHostError, RefusalError, TokenError
from matinee.serve.wire import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from matinee.serve.measures import Measures
    from matinee.serve.serving import Serving

__all__ = ["Door"]

_MEDIA: Final = "application/problem+json"
_MOST_ADDRESSES: Final = 10_000
_RETRY: Final = {"retry-after": "1"}

_log = logging.getLogger(__name__)


class Door:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, serving: Serving, measures: Measures) -> None:
        self._app, self._measures = app, measures
        self._hosts, self._limit_s = serving.hosts, serving.time_limit_s
        self._token = None if serving.token is None else f"Bearer {serving.token}".encode()
        self._rates = None if serving.rate_limit is None else _Rates(serving.rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope["app"] = self  # so the router raises what it cannot find, instead of answering in plain text
        try:
            self._check(scope)
            async with asyncio.timeout(self._limit_s):
                await self._app(scope, receive, sending)
        except Exception as error:
            if status:
                raise  # half an answer is out; the connection is closed
            await _problem(error, self._limit_s)(scope, receive, sending)
        route = scope.get("route")
        name = "none" if route is None else route.path  # never the path as it came: anybody can make up new ones
        self._measures.requested(name, status, time.perf_counter() - began_s)

    def _check(self, scope: Scope) -> None:
        if self._hosts is None and self._token is None and self._rates is None:
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._hosts is not None and host_of(headers) not in self._hosts:
            raise ForeignHostError(f"this server is called {', '.join(sorted(self._hosts))} here")
        if self._token is not None and not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            raise TokenError("expected 'Authorization: Bearer TOKEN' with the token of --token-file")
        if self._rates is not None:
            self._rates.take((scope.get("client") or ("",))[0])


class _Rates:
    """A bucket of requests an address, filled at a steady rate, at most a second's worth."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, address: str) -> None:
        """Raises BusyError where the bucket is empty."""
        now_s = time.monotonic()
        most = max(1.0, self._per_s)
        left, at_s = self._buckets.get(address, (most, now_s))
        left = min(most, left + (now_s - at_s) * self._per_s)
        if left < 1:
            raise BusyError(f"more than {self._per_s:g} requests a second from {address}")
        if len(self._buckets) >= _MOST_ADDRESSES:
            self._buckets.clear()
        self._buckets[address] = (left - 1, now_s)


def _problem(error: Exception, limit_s: float) -> Response:
    headers: Mapping[str, str] | None = None
    if isinstance(error, RefusalError):
        status, detail, headers = error.status, str(error), error.headers
    elif isinstance(error, HTTPException):
        status, detail, headers = HTTPStatus(error.status_code), error.detail, error.headers
    elif isinstance(error, TimeoutError):
        status, detail, headers = HTTPStatus.SERVICE_UNAVAILABLE, f"not done within {limit_s:g} s", _RETRY
    else:
        if not isinstance(error, MatineeError):
            _log.error("a request failed", exc_info=error)
        status, detail = HTTPStatus.INTERNAL_SERVER_ERROR, str(error) if isinstance(error, MatineeError) else ""
    body = Problem("about:blank", status.phrase, int(status), detail or status.description)
    return Response(msgspec.json.encode(body), int(status), dict(headers or {}), _MEDIA)
