"""The server's interface in OpenAPI 3.1, drawn from the types that requests are checked with, and a page to read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import msgspec

from matinee.serve import wire

__all__ = ["OPERATIONS", "Operation", "document", "page"]

_PROBLEM: Final = "application/problem+json"
_BODY_ERRORS: Final = (400, 413, 415, 422, 429, 503)
_WORDS: Final = {
    400: "Not JSON",
    401: "No token, or a wrong one",
    408: "The body took too long",
    409: "A number belongs to another event",
    413: "The body is too large",
    415: "The body does not call itself application/json",
    421: "Meant for another host",
    422: "Something is missing, unknown, or out of its range",
    429: "Too many wait; come back after Retry-After seconds",
    503: "Not now; come back after Retry-After seconds",
}
_EVERYWHERE: Final = (408, 421, 429, 503)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked of the server; `takes` and `gives` are types of `matinee.serve.wire`."""

    method: str
    path: str
    name: str
    summary: str
    gives: Any
    takes: Any = None
    errors: tuple[int, ...] = ()
    examples: dict[str, Any] = field(default_factory=dict)
    parameters: tuple[dict[str, Any], ...] = ()
    media: str = "application/json"


_USER: Final = {
    "name": "user",
    "in": "path",
    "required": True,
    "description": "Raw id.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[^\x00]+$"},
    "example": "196",
}
_LAST: Final = {
    "name": "last",
    "in": "query",
    "description": "How many of the last events.",
    "schema": {"type": "integer", "minimum": 0, "maximum": wire.MAX_K, "default": 100},
}

OPERATIONS: Final = (
    Operation(
        "post", "/v1/recommend", "recommend", "What does this user take next?", wire.Answer, wire.Ask, _BODY_ERRORS,
        {
            "somebody known": {"user": 196, "k": 5},
            "a stranger with a history of their own": {"user": "guest", "history": [242, 302], "exclude_seen": True},
            "a rehearsal: the rank of what was taken": {"user": 196, "target": 242, "timestamp": 881250949},
        },
    ),
    Operation(
        "post", "/v1/recommend/batch", "recommend_batch", "Many questions at once", wire.AnswerBatch, wire.AskBatch,
        _BODY_ERRORS, {"two people": {"asks": [{"user": 196}, {"user": 186, "k": 3}]}},
    ),
    Operation(
        "post", "/v1/events", "tell", "It has happened; durable when answered", wire.Told, wire.TellerEvent,
        (*_BODY_ERRORS, 409),
        {
            "an event": {"user": 196, "item": 242, "timestamp": 881250949, "rating": 3.0},
            "one that may be told again": {
                "user": 196, "item": 242, "teller": "6d8ce3a4-5f0b-4c6e-9a53-0f6a1d9c2b11", "number": 0,
            },
        },
    ),
    Operation(
        "post", "/v1/events/batch", "tell_batch", "Many events at once, in one commit", wire.Told, wire.EventBatch,
        (*_BODY_ERRORS, 409),
        {
            "two events of one teller": {
                "teller": "6d8ce3a4-5f0b-4c6e-9a53-0f6a1d9c2b11",
                "events": [{"user": 196, "item": 242, "number": 1}, {"user": 186, "item": 302, "number": 2}],
            }
        },
    ),
    Operation(
        "get", "/v1/users/{user}/history", "history", "What a user took", wire.History, None, (422,), {},
        (_USER, _LAST),
    ),
    Operation("get", "/healthz", "healthz", "Whether the server lives", wire.Health),
    Operation("get", "/readyz", "readyz", "Whether it can answer and write down", wire.Health, None, (503,)),
    Operation("get", "/metrics", "metrics", "Numbers for Prometheus", None, media="text/plain"),
)  # fmt: skip


def document(*, token: bool) -> dict[str, Any]:
    """The OpenAPI document; `token` says whether requests need one."""
    types = [kind for each in OPERATIONS for kind in (each.takes, each.gives) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, wire.Problem], ref_template="#/components/schemas/{name}"
    )
    components[wire.TellerEvent.__name__]["dependentRequired"] = {"teller": ["number"], "number": ["teller"]}
    drawn = dict(zip([*types, wire.Problem], schemas, strict=True))
    paths: dict[str, Any] = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each, drawn, token=token)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Matinee",
            "version": version("matinee"),
            "description": "Ask a trained model what people take next, and tell it what they took. Ids are raw ids of "
            "the log. An answer knows all that was acknowledged before it was asked for.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }
    if token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def page() -> str:
    """Swagger UI with everything it needs inside: it works without a network."""
    from offapi import OpenAPITemplate  # noqa: PLC0415 - megabytes of JavaScript, read when the page is asked for

    return OpenAPITemplate.SWAGGER.value.format(spec_url="/openapi.json").strip()


def _operation(each: Operation, drawn: dict[Any, Any], *, token: bool) -> dict[str, Any]:
    schema = {"type": "string"} if each.gives is None else drawn[each.gives]
    errors = sorted({*each.errors, *_EVERYWHERE, *((401,) if token else ())})
    described: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "responses": {
            "200": {"description": "Done", "content": {each.media: {"schema": schema}}},
            **{str(status): _problem(status, drawn) for status in errors},
        },
    }
    if each.parameters:
        described["parameters"] = list(each.parameters)
    if each.takes is not None:
        examples = {name: {"value": value} for name, value in each.examples.items()}
        content = {"application/json": {"schema": drawn[each.takes], "examples": examples}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _problem(status: int, drawn: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _WORDS[status],
        "content": {_PROBLEM: {"schema": drawn[wire.Problem]}},
    }
    if status in {429, 503}:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described
