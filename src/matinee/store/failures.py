"""What rclone and the store behind it say when something fails, as one of our errors in one line."""

from __future__ import annotations

import re
from typing import Final

from matinee.errors import DiskFullError, MatineeError, StoreDeniedError, StoreError, StoreUnreachableError

__all__ = ["failure", "is_missing"]

_MISSING: Final = (
    "directory not found",
    "object not found",
    "file not found",
    "no such file or directory",
    "nosuchbucket",
    "nosuchkey",
    "notfound",
    "container not found",
    "nosuchupload",
    "file does not exist",
)
_FULL: Final = (
    "no space left",
    "not enough space",
    "remaining disk space",
    "disk quota exceeded",
    "insufficientstorage",
    "quotaexceeded",
)
_DENIED: Final = (
    "accessdenied",
    "access denied",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
    "permission denied",
    "operation not permitted",
    "read-only file system",
    "forbidden",
    "unauthorized",
    "statuscode: 401",
    "statuscode: 403",
    "expiredtoken",
    "invalidtoken",
    "handshake failed: ssh: unable to authenticate",
)
_UNREACHABLE: Final = (
    "connection refused",
    "connection reset",
    "no such host",
    "no route to host",
    "network is unreachable",
    "i/o timeout",
    "tls handshake",
    "deadline exceeded",
    "server misbehaving",
    "request send failed",
    "couldn't connect",
    "broken pipe",
    "unexpected eof",
    "statuscode: 502",
    "statuscode: 503",
    "statuscode: 504",
)
_LONGEST: Final = 300  # characters of a foreign message; what matters stands at its end
_NOISE: Final = re.compile(r"(RequestID|HostID): [^,]*, ")


def failure(text: str, where: str, doing: str) -> MatineeError:
    """The error for rclone's message `text`, met at `where` (an address for people) while `doing` something."""
    low = text.lower()
    said = _one_line(text)
    if any(mark in low for mark in _FULL):
        return DiskFullError(
            f"{where}: no space left while {doing}; free some and run again, what is sent stays ({said})"
        )
    if any(mark in low for mark in _DENIED):
        return StoreDeniedError(f"{where}: refused while {doing}; check the keys and their rights ({said})")
    if "didn't find section in config file" in low:
        return StoreError(
            f"{where}: no such rclone remote; 'rclone listremotes' lists yours, 'rclone config' makes one"
        )
    if any(mark in low for mark in _UNREACHABLE):
        return StoreUnreachableError(f"{where}: no answer while {doing}; check the address, and run again ({said})")
    if "statuscode: 5" in low:
        return StoreError(f"{where}: the store itself failed while {doing}; see its log and its free space ({said})")
    return StoreError(f"{where}: failed while {doing} ({said})")


def is_missing(text: str) -> bool:
    """Whether rclone's message says that the thing asked for is not there."""
    low = text.lower()
    return any(mark in low for mark in _MISSING) and not any(mark in low for mark in (*_DENIED, *_UNREACHABLE))


def _one_line(text: str) -> str:
    """On one line, without request numbers, its end kept where it is too long."""
    line = " ".join(_NOISE.sub("", text).split())
    return line if len(line) <= _LONGEST else "... " + line[-_LONGEST:]
