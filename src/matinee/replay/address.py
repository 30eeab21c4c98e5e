"""Where a server is, taken from its URL: whom to connect to, and what the head of each request says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from matinee.errors import UsageError

__all__ = ["Address", "is_url"]

_PORTS: Final = {"http": 80, "https": 443}


def is_url(text: str) -> bool:
    """Whether `text` names a server, and not a model."""
    return text.startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Address:
    """One server.

    Attributes:
        url: without a slash at the end.
        host, port: whom to connect to; an IPv6 address without its brackets.
        is_secure: whether over TLS.
        name: as the head of a request calls the server.
        base: the path before `/v1/...`, empty or with a slash in front.
    """

    url: str
    host: str
    port: int
    is_secure: bool
    name: str
    base: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Take a URL apart.

        Raises:
            UsageError: it is none, or holds what has no place in it.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r}: not an address of a server ({error})") from None
        host = parts.hostname
        if parts.scheme not in _PORTS or not host or not url.isascii() or not url.isprintable() or " " in url:
            raise UsageError(f"{url!r}: not an address of a server, expected as in http://127.0.0.1:8642")
        if parts.username is not None or parts.query or parts.fragment:
            raise UsageError(f"http(s)://{host}...: an address has no user, query or fragment; see --token-file")
        base = parts.path.rstrip("/")
        return cls(
            url=f"{parts.scheme}://{parts.netloc}{base}",
            host=host,
            port=_PORTS[parts.scheme] if port is None else port,
            is_secure=parts.scheme == "https",
            name=parts.netloc,
            base=base,
        )

    def head(self, path: str, token: str | None) -> bytes:
        """The beginning of a POST of JSON, up to the number of its bytes."""
        authorization = "" if token is None else f"authorization: Bearer {token}\r\n"
        return (
            f"POST {self.base}{path} HTTP/1.1\r\nhost: {self.name}\r\n{authorization}"
            "content-type: application/json\r\ncontent-length: "
        ).encode("ascii")
