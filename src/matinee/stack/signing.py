"""AWS Signature Version 4 for requests without a body: enough to ask an S3 who we are and to make a bucket."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from matinee.stack.endpoint import Endpoint

__all__ = ["send_signed"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_SIGNED: Final = "host;x-amz-content-sha256;x-amz-date"


def send_signed(endpoint: Endpoint, method: str, path: str, *, timeout_s: float) -> httpx.Response:
    """Send one request without query and body, signed with the endpoint's keys.

    Raises:
        httpx.TransportError: no answer.
    """
    url = httpx.URL(endpoint.url).copy_with(path=path)
    headers = _headers(endpoint, method, url, datetime.now(UTC))
    # No proxy of the environment: the endpoint is on this machine.
    with httpx.Client(trust_env=False, timeout=timeout_s) as client:
        return client.request(method, url, headers=headers)


def _headers(endpoint: Endpoint, method: str, url: httpx.URL, now: datetime) -> dict[str, str]:
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    host = url.netloc.decode()
    names = [f"host:{host}", f"x-amz-content-sha256:{_EMPTY}", f"x-amz-date:{moment}"]
    canonical = "\n".join([method, url.raw_path.decode(), "", *names, "", _SIGNED, _EMPTY])
    scope = f"{moment[:8]}/{endpoint.region}/s3/aws4_request"
    to_sign = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{endpoint.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return {
        "Host": host,
        "X-Amz-Date": moment,
        "X-Amz-Content-SHA256": _EMPTY,
        "Authorization": f"{_ALGORITHM} Credential={endpoint.access_key}/{scope}, SignedHeaders={_SIGNED}, "
        f"Signature={signature}",
    }
