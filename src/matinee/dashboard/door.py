"""What stands before the page: which host is called, from which page, with which token; and what browsers may do."""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from matinee.serve.address import host_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Door"]

_SOCKET: Final = "/_nicegui_ws/"
_LOGIN: Final = "/login"
_MOST_BYTES: Final = 4096  # of the form
# Everything from here and nothing from elsewhere; Vue makes its templates from text, which counts as eval.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FORM: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Matinee</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>body{font:1rem system-ui;max-width:24rem;margin:15vh auto;padding:0 1rem}input,button{font:inherit;padding:.5rem;
width:100%;box-sizing:border-box;margin:.4rem 0}</style></head><body><h1>Matinee</h1>
<form method="post" action="/login"><label for="token">The token of --token-file</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Open the dashboard</button></form><p role="alert">WRONG</p></body></html>"""


class Door:
    """An ASGI application around another.

    Args:
        app: the page.
        token: that every request needs; None lets in whoever calls this machine by a name of its own.
        port: where it listens: a browser keeps one cookie a host, and this machine may have several servers.
        names: what a request may call this machine where no token is asked for.
    """

    def __init__(self, app: ASGIApp, token: str | None, port: int, names: frozenset[str]) -> None:
        self.app = app  # by this name NiceGUI finds itself in its server
        self._token, self._cookie_name, self._names = token, f"matinee-{port}", names
        self._cookie = "" if token is None else hmac.new(token.encode(), b"dashboard", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say why not."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = await self._refusal(scope, receive)
        if refused is None:
            await self.app(scope, receive, _careful(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refused(scope, receive, _careful(send))

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._token is None and host_of(headers) not in self._names:
            return PlainTextResponse(f"this page is called {', '.join(sorted(self._names))} here", 421)
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and urlsplit(origin).netloc.lower() != headers.get(b"host", b"").decode("latin-1").lower():
            return PlainTextResponse("another page has no business here", 403)
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            if self._token is not None and (scope["method"], scope["path"]) == ("POST", _LOGIN):
                return await self._log_in(Request(scope, receive))
            if not scope["path"].startswith(_SOCKET):
                return PlainTextResponse("this page is only looked at", 405, {"Allow": "GET, HEAD"})
        if self._token is None or self._is_known(headers, self._token):
            return None
        return HTMLResponse(_FORM.replace("WRONG", ""), 401)

    def _is_known(self, headers: dict[bytes, bytes], token: str) -> bool:
        if hmac.compare_digest(headers.get(b"authorization", b""), f"Bearer {token}".encode()):
            return True
        try:
            morsel = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(self._cookie_name)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self._cookie.encode())

    async def _log_in(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                return PlainTextResponse("too large", 413)
        given = parse_qs(body.decode("latin-1")).get("token", [""])[0].strip()
        if not hmac.compare_digest(given.encode(), (self._token or "").encode()):
            return HTMLResponse(_FORM.replace("WRONG", "This is not the token."), 401)
        answer = RedirectResponse("/", 303)
        # The cookie follows from the token and is not it; a new token ends all sessions.
        answer.set_cookie(self._cookie_name, self._cookie, httponly=True, samesite="strict")
        return answer


def _careful(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("content-security-policy", _POLICY)
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("referrer-policy", "same-origin")  # with less, a form has no origin
        await send(message)

    return sending
