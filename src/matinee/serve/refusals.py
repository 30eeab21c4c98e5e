"""What a server says no to, each with its HTTP status; the line goes to whoever asked, as problem+json."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

__all__ = [
    "BusyError",
    "ConflictError",
    "ForeignHostError",
    "MalformedError",
    "NotDurableError",
    "RefusalError",
    "SlowError",
    "TokenError",
    "TooLargeError",
    "WrongShapeError",
    "WrongTypeError",
]


class RefusalError(Exception):
    """An answer other than the one that was asked for."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    headers: ClassVar[dict[str, str]] = {}


class MalformedError(RefusalError):
    """The body is not JSON."""


class WrongShapeError(RefusalError):
    """It is JSON, with something missing, unknown, or out of its range."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class WrongTypeError(RefusalError):
    """The body does not call itself JSON; a page in a browser cannot send what does without asking first."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class TokenError(RefusalError):
    """The token is missing or wrong."""

    status = HTTPStatus.UNAUTHORIZED
    headers: ClassVar[dict[str, str]] = {"www-authenticate": "Bearer"}


class ForeignHostError(RefusalError):
    """The request is meant for another host: somebody's browser was told that we are it."""

    status = HTTPStatus.MISDIRECTED_REQUEST


class ConflictError(RefusalError):
    """A teller's number was used for two events."""

    status = HTTPStatus.CONFLICT


class TooLargeError(RefusalError):
    """The body is larger than allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class SlowError(RefusalError):
    """The body took too long to arrive."""

    status = HTTPStatus.REQUEST_TIMEOUT


class BusyError(RefusalError):
    """A queue is full, or somebody asks too often."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class NotDurableError(RefusalError):
    """Postgres does not answer, or has no space: nothing is acknowledged that could be lost."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}
