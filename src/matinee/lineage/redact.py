"""Takes credentials out of addresses and messages before they are written down or sent anywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["scrub", "without_credentials"]

# What a direct link needs to be found again; every other parameter may be a signature or a token, and goes.
_HARMLESS = frozenset({"dl", "download", "export", "file", "format", "id", "path", "raw", "version", "versionId"})
_URL = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_CONNECTION = re.compile(r"""(?<![\w.])(:?[\w.+@-]+)((?:,\w+(?:=(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|[^,:\s]*))?)+):""")
_ASSIGNMENT = re.compile(
    r"(?i)([\w-]*(?:secret|passw(?:or)?d|token|api_?key|access_key(?:_id)?|credential)[\w-]*[\"']?\s*[=:]\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;&'\"]+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}")
_HIDDEN = "***"


def without_credentials(location: str) -> str:
    """The same place without user, password, signature, token or rclone options.

    >>> without_credentials("https://me:secret@host/a.zip?id=7&X-Amz-Signature=f00")
    'https://host/a.zip?id=7'
    >>> without_credentials(":s3,secret_access_key=abc:bucket/ratings")
    ':s3:bucket/ratings'
    """
    scheme, mark, rest = location.partition("://")
    if mark and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return f"{scheme}://{_without_parameters(_without_user(scheme, rest))}"
    options = _CONNECTION.match(location)
    shorter = f"{options[1]}:{location[options.end() :]}" if options else location
    if shorter == location and re.match(r":\w+,", location) and ":" in location[1:]:
        # A connection string that is not understood: what lies between its options is not worth a leak.
        return f"{location[: location.index(',')]}:{location.rpartition(':')[2]}"
    return shorter


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """The message without anything that looks like a credential, and without each of `secrets`."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = _URL.sub(lambda found: without_credentials(found.group()), text)
    text = _CONNECTION.sub(_connection_without_options, text)
    text = _ASSIGNMENT.sub(rf"\1{_HIDDEN}", text)
    return _BEARER.sub(rf"\1 {_HIDDEN}", text)


def _without_user(scheme: str, rest: str) -> str:
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in host:
        return rest[host.rindex("@") + 1 :]
    if ":" not in host or host.endswith("]"):
        return rest
    is_port = scheme.startswith("http") and re.fullmatch(r"\d{1,5}", host.rpartition(":")[2])
    if not is_port and "@" in rest:
        # 's3://KEY:SE/CRET@bucket': a slash inside the password makes the host end too early.
        return rest.rpartition("@")[2]
    return rest


def _without_parameters(rest: str) -> str:
    address, mark, query = rest.partition("#")[0].partition("?")
    kept = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key in _HARMLESS]
    return f"{address}?{urlencode(kept)}" if mark and kept else address


def _connection_without_options(found: re.Match[str]) -> str:
    # Ordinary prose has commas before a colon too ("a,b:"); only options with a value, or a leading ':', are rclone's.
    return f"{found[1]}:" if "=" in found[2] or found[1].startswith(":") else found[0]
