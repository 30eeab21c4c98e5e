"""The routes: what comes in is checked and handed to the worker, what it says goes out."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from matinee.serve.board import Board
from matinee.serve.refusals import (
    MalformedError,
    NotDurableError,
    SlowError,
    TooLargeError,
    WrongShapeError,
    WrongTypeError,
)
from matinee.serve.wire import (
    MAX_ID_CHARACTERS,
    MAX_K,
    AnswerBatch,
    Ask,
    AskBatch,
    EventBatch,
    Health,
    TellerEvent,
    Told,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from matinee.serve.serving import Serving
    from matinee.serve.worker import Worker

__all__ = ["build_app"]

_Type = TypeVar("_Type")

_encode = msgspec.json.Encoder().encode


class _RawIdConvertor(StringConvertor):
    """Whatever an id is made of: slashes and new lines too."""

    regex = "(?s:.+)"


def build_app(serving: Serving) -> ASGIApp:
    """The application of one worker process; what it needs is read when its lifespan begins."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Board(serving.board).measures)
    from matinee.serve.door import Door  # noqa: PLC0415 - the variable above must be set before
    from matinee.serve.measures import Measures  # noqa: PLC0415 - as above
    from matinee.serve.worker import Worker  # noqa: PLC0415 - as above

    register_url_convertor("rawid", _RawIdConvertor())
    measures = Measures()
    worker = Worker(serving, measures)

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        await worker.start()
        yield
        await worker.stop()

    return Door(Router(_Routes(worker, serving).all(), lifespan=lifespan), serving, measures)


class _Endpoint:
    """A route as an ASGI application, without Starlette's own handling of what goes wrong: that is the door's."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)


class _Routes:
    """One method a route."""

    def __init__(self, worker: Worker, serving: Serving) -> None:
        self._worker = worker
        self._limit, self._patience_s = serving.max_body_bytes, serving.time_limit_s
        self._needs_token = serving.token is not None
        self._ask, self._asks = msgspec.json.Decoder(Ask), msgspec.json.Decoder(AskBatch)
        self._event, self._events = msgspec.json.Decoder(TellerEvent), msgspec.json.Decoder(EventBatch)

    def all(self) -> list[Route]:
        """The table."""
        posted = {
            "/v1/recommend": self.recommend,
            "/v1/events": self.tell,
            "/v1/recommend/batch": self.recommend_batch,
            "/v1/events/batch": self.tell_batch,
        }
        got = {
            "/v1/users/{user:rawid}/history": self.history,
            "/healthz": self.healthz,
            "/readyz": self.readyz,
            "/metrics": self.metrics,
            "/openapi.json": self.openapi,
            "/docs": self.docs,
        }
        return [
            Route(path, _Endpoint(answer), methods=[method])
            for method, routes in (("POST", posted), ("GET", got))
            for path, answer in routes.items()
        ]

    async def recommend(self, request: Request) -> Response:
        (answer,) = await self._worker.recommend([await self._read(request, self._ask)])
        return _json(answer)

    async def recommend_batch(self, request: Request) -> Response:
        asked = await self._read(request, self._asks)
        return _json(AnswerBatch(await self._worker.recommend(asked.asks)))

    async def tell(self, request: Request) -> Response:
        event = await self._read(request, self._event)
        teller = None if event.teller is UNSET else event.teller
        return _json(Told(*await self._worker.tell([event], teller)))

    async def tell_batch(self, request: Request) -> Response:
        told = await self._read(request, self._events)
        teller = None if told.teller is UNSET else told.teller
        return _json(Told(*await self._worker.tell(told.events, teller)))

    async def history(self, request: Request) -> Response:
        user, last = request.path_params["user"], request.query_params.get("last", "100")
        if not 0 < len(user) <= MAX_ID_CHARACTERS or "\0" in user:
            raise WrongShapeError(f"a user's id has 1 to {MAX_ID_CHARACTERS} characters, none of them NUL")
        if not (last.isascii() and last.isdigit() and len(last) <= 4 and int(last) <= MAX_K):
            raise WrongShapeError(f"last is {last[:20]!r}, expected 0 to {MAX_K}")
        return _json(await self._worker.history(user, int(last)))

    async def healthz(self, _: Request) -> Response:
        return _json(Health("ok", self._worker.model))

    async def readyz(self, _: Request) -> Response:
        if not self._worker.ready:
            raise NotDurableError("Postgres does not answer")
        return _json(Health("ready", self._worker.model))

    async def metrics(self, _: Request) -> Response:
        from matinee.serve.measures import CONTENT_TYPE_LATEST, Measures  # noqa: PLC0415 - see build_app

        return Response(await asyncio.to_thread(Measures.text), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _: Request) -> Response:
        from matinee.serve.openapi import document  # noqa: PLC0415 - most servers are never asked

        return _json(document(token=self._needs_token))

    async def docs(self, _: Request) -> Response:
        from matinee.serve.openapi import page  # noqa: PLC0415 - as above

        return Response(await asyncio.to_thread(page), media_type="text/html")

    async def _read(self, request: Request, decoder: msgspec.json.Decoder[_Type]) -> _Type:
        """The body as what it should be."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise WrongTypeError("expected 'Content-Type: application/json'")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limit:
            raise TooLargeError(f"{int(length):,} bytes, at most {self._limit:,} are read; send less at once")
        try:
            async with asyncio.timeout(self._patience_s / 2):
                body = await self._body(request)
        except TimeoutError:
            raise SlowError(f"the body did not arrive within {self._patience_s / 2:g} s") from None
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise WrongShapeError(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedError(f"not JSON: {error}") from None

    async def _body(self, request: Request) -> bytes:
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._limit:
                raise TooLargeError(f"more than {self._limit:,} bytes; send less at once")
            chunks.append(chunk)
        return b"".join(chunks)


def _json(answer: Any) -> Response:
    return Response(_encode(answer), media_type="application/json")
