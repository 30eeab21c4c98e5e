"""An OpenStack cloud on the loopback, as far as `matinee cloud` goes: stateful, strict about requests, able to fail.

A real HTTP server. What a request may say is decided by the services' own schemas (tests/cloud/schemas), in both
directions for Nova. What breaks one is remembered in `problems`, which the fixture expects empty.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import socket
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Answer", "Double", "Fault", "Request", "error", "new_id"]

_SCHEMAS = Path(__file__).parent / "schemas"
_DECLARED: dict[str, Any] = {
    service: json.loads((_SCHEMAS / f"{service}.json").read_text())["operations"]
    for service in ("nova", "cinder", "neutron")
}
_FORMATS = jsonschema.FormatChecker()
PROJECT = "0123456789abcdef0123456789abcdef"
USER = "fedcba9876543210fedcba9876543210"


@_FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(uuid.UUID(value))


@_FORMATS.checks("base64", raises=binascii.Error)
def _is_base64(value: object) -> bool:
    return not isinstance(value, str) or base64.b64decode(value, validate=True) is not None


@dataclass(frozen=True)
class Request:
    """One request, its path below the service's own."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """One answer; a body that is not bytes becomes JSON."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong, at one request or from it on.

    Attributes:
        at: the request's number, counted from 1; None is every request.
        matches: 'POST /compute/servers' or a part of it; empty is every request.
        how: 'lost' does the work and then drops the connection, 'refused' drops it before, a number is a status.
        times: how often.
        message: what the cloud says with a status.
    """

    how: str | int
    at: int | None = None
    matches: str = ""
    times: int = 1
    message: str = "the double was told to say so"


def new_id() -> str:
    """An id as OpenStack makes them."""
    return str(uuid.uuid4())


def error(status: int, message: str) -> Answer:
    """An error as Nova, Cinder and Neutron word it."""
    return Answer(status, {"badRequest" if status == 400 else "error": {"code": status, "message": message}})


class Double:
    """The running cloud. Use it as a context manager; `url` is its Keystone.

    Attributes:
        secret: of the only application credential there is.
        tokens: those that are good.
        faults: to come; each is taken out when it has happened often enough.
        seen: 'METHOD /service/path' of every request.
        problems: requests and answers against the schemas.
    """

    def __init__(self, region: str = "KVM@TACC") -> None:
        # Their module takes names from this one.
        from double_compute import Compute
        from double_network import Network

        self.region = region
        self.credential, self.secret = new_id().replace("-", ""), "a secret of the double"
        self.tokens: set[str] = set()
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self.problems: list[str] = []
        self.dead = False
        self.project = PROJECT
        self.compute = Compute(self)
        self.network = Network(self)
        self.containers: dict[str, dict[str, Any]] = {}
        self.images = [_image("CC-Ubuntu24.04"), _image("CC-Ubuntu22.04"), _image("CC-CentOS9")]
        self.lock = threading.RLock()
        self.validate_token: Callable[[str], bool] = lambda token: token in self.tokens

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"double": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def entry(self, **changes: Any) -> dict[str, Any]:
        """Its entry for clouds.yaml."""
        return {
            "auth_type": "v3applicationcredential",
            "auth": {
                "auth_url": f"{self.url}/identity/v3",
                "application_credential_id": self.credential,
                "application_credential_secret": self.secret,
            },
            "region_name": self.region,
            "interface": "public",
            "identity_api_version": 3,
        } | changes

    def endpoints(self) -> dict[str, str]:
        """Service type -> address."""
        return {
            "identity": f"{self.url}/identity/v3",
            "compute": f"{self.url}/compute/v2.1",
            "volumev3": f"{self.url}/volume/v3/{self.project}",
            "network": f"{self.url}/network",
            "image": f"{self.url}/image",
            "object-store": f"{self.url}/swift/v1/AUTH_{self.project}",
        }

    def fault_for(self, name: str) -> Fault | None:
        """The fault that is due for this request."""
        for fault in self.faults:
            if fault.matches in name and fault.at in {None, len(self.seen)}:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def answer(self, service: str, request: Request) -> Answer:
        """What the service says."""
        if service == "identity":
            return self._identity(request)
        if self._is_discovery(request):
            return self._discover(service)
        if not self.validate_token(request.headers.get("x-auth-token", "")):
            return error(401, "The request you have made requires authentication.")
        path = re.sub(rf"^/v\d(\.\d)?(/(AUTH_)?{self.project})?", "", request.path)
        request = Request(request.method, path, request.query, request.headers, request.body)
        places: dict[str, Callable[[Request], Answer]] = {
            "compute": self.compute.answer,
            "volume": self.compute.answer_volume,
            "network": self.network.answer,
            "image": self._image,
            "swift": self._swift,
        }
        return places[service](request)

    def check(self, service: str, operation: str, kind: str, value: Any) -> str | None:
        """None, or what the service's own schema has against `value`."""
        schema = _DECLARED[service].get(operation, {}).get(kind)
        if schema is None:
            return None
        found = next(jsonschema.Draft7Validator(schema, format_checker=_FORMATS).iter_errors(value), None)
        if found is None:
            return None
        while found.context:  # of several alternatives the first is the usual one
            found = found.context[0]
        problem = f"{operation} {kind}: {'/'.join(map(str, found.absolute_path))}: {found.message}"
        self.problems.append(problem)
        return problem

    def _identity(self, request: Request) -> Answer:
        if request.method == "GET":
            return Answer(200, {"version": _version("v3.14", f"{self.url}/identity/v3")})
        asked = request.body["auth"]["identity"].get("application_credential", {})
        if (asked.get("id"), asked.get("secret")) != (self.credential, self.secret):
            return error(401, "The request you have made requires authentication.")
        token = new_id()
        self.tokens.add(token)
        catalog = [
            {
                "type": kind, "name": kind, "id": new_id(),
                "endpoints": [{
                    "id": new_id(), "interface": "public", "region": self.region, "region_id": self.region, "url": url,
                }],
            }
            for kind, url in self.endpoints().items()
        ]  # fmt: skip
        domain = {"id": "default", "name": "Default"}
        body = {
            "methods": ["application_credential"],
            "user": {"id": USER, "name": "somebody", "domain": domain, "password_expires_at": None},
            "project": {"id": self.project, "name": "a-project", "domain": domain},
            "roles": [{"id": new_id(), "name": "member"}],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "audit_ids": ["x"],
            "is_domain": False,
            "catalog": catalog,
        }
        return Answer(201, {"token": body}, {"X-Subject-Token": token})

    @staticmethod
    def _is_discovery(request: Request) -> bool:
        return request.method == "GET" and re.fullmatch(r"/?(v\d(\.\d)?/?)?", request.path) is not None

    def _discover(self, service: str) -> Answer:
        versions = {
            "compute": _version("v2.1", f"{self.url}/compute/v2.1/", "2.95"),
            "volume": _version("v3.0", f"{self.url}/volume/v3/", "3.70"),
            "network": _version("v2.0", f"{self.url}/network/v2.0/"),
            "image": _version("v2.15", f"{self.url}/image/v2/"),
        }
        return Answer(200, {"versions": [versions[service]], "version": versions[service]})

    def _image(self, request: Request) -> Answer:
        assert (request.method, request.path) == ("GET", "/images"), request
        return Answer(200, {"images": self.images, "schema": "/v2/schemas/images", "first": "/v2/images"})

    def _swift(self, request: Request) -> Answer:
        """Containers and objects; the tests of the real thing are in test_real_swift.py."""
        _, name, *rest = (*request.path.split("/", 2), "")
        object_name = rest[0] if rest else ""
        found = self.containers.get(name)
        if request.method == "PUT" and not object_name:
            meta = {key: value for key, value in request.headers.items() if key.startswith("x-container-meta-")}
            self.containers.setdefault(name, {"meta": {}, "objects": {}})["meta"].update(meta)
            return Answer(202 if found else 201)
        if found is None:
            return Answer(404)
        if object_name:
            return Answer(204 if found["objects"].pop(object_name, None) is not None else 404)
        if request.method == "DELETE":
            if found["objects"]:
                return Answer(409)
            del self.containers[name]
            return Answer(204)
        if request.method == "GET":
            after = request.query.get("marker", [""])[0]
            names = [each for each in sorted(found["objects"]) if each > after]
            return Answer(200, [{"name": each} for each in names[:2]])
        count, size = len(found["objects"]), sum(map(len, found["objects"].values()))
        told = {"X-Container-Object-Count": str(count), "X-Container-Bytes-Used": str(size)}
        return Answer(204, None, told | found["meta"])


class _Handler(BaseHTTPRequestHandler):
    double: Double
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one piece, or every answer waits for an acknowledgement

    def _serve(self) -> None:
        double = self.double
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        parts = urlsplit(self.path)
        service, _, rest = parts.path.lstrip("/").partition("/")
        name = f"{self.command} /{service}/{rest}"
        with double.lock:
            double.seen.append(name)
            fault = double.fault_for(name)
            if double.dead or (fault is not None and fault.how == "refused"):
                return self._drop()
            if fault is not None and isinstance(fault.how, int):
                return self._send(error(fault.how, fault.message))
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = json.loads(raw) if raw else None
            query = parse_qs(parts.query, keep_blank_values=True)
            answer = double.answer(service, Request(self.command, "/" + unquote(rest), query, headers, body))
            if fault is not None:
                return self._drop()
        return self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815 - the names that http.server looks for

    def _send(self, answer: Answer) -> None:
        raw = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        if answer.body is not None:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


def _image(name: str) -> dict[str, Any]:
    return {"id": new_id(), "name": name, "status": "active", "visibility": "public", "tags": []}


def _version(number: str, url: str, newest: str = "") -> dict[str, Any]:
    oldest = {"2.95": "2.1", "3.70": "3.0"}.get(newest, "")
    links = [{"rel": "self", "href": url}]
    return {"id": number, "status": "CURRENT", "version": newest, "min_version": oldest, "links": links}
