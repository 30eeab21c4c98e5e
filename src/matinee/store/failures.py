"""What rclone and the store behind it say when something fails, as one of our errors in one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from matinee.errors import (
    DiskFullError,
    MatineeError,
    StoreCredentialError,
    StoreDeniedError,
    StoreError,
    StoreUnreachableError,
)

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
_LONGEST: Final = 300  # characters of a foreign message; what matters stands at its end
_NOISE: Final = re.compile(r"(RequestID|HostID): [^,]*, ")


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of failure.

    Attributes:
        error: what is raised.
        said: what happened, in our words.
        advice: what to do about it.
        marks: parts of messages, in lower case, by which it is known.
    """

    error: type[MatineeError]
    said: str
    advice: str
    marks: tuple[str, ...]


# The first that fits is it, so what is told more exactly stands before what is told more widely.
_KINDS: Final = (
    _Kind(
        DiskFullError,
        "no space left",
        "free some and run again, what is sent stays",
        (
            "no space left",
            "not enough space",
            "remaining disk space",
            "disk quota exceeded",
            "insufficientstorage",
            "quotaexceeded",
            "http error: 413",  # Swift's quotas answer that
            "http error: 507",
        ),
    ),
    _Kind(
        StoreDeniedError,
        "refused",
        "this machine's clock and the store's differ too much: set it ('timedatectl set-ntp true')",
        ("requesttimetooskewed", "requestexpired", "request time and the server's time"),
    ),
    _Kind(
        StoreCredentialError,
        "refused",
        "check the keys: the secret is not that of this access key",
        ("signaturedoesnotmatch",),
    ),
    _Kind(
        StoreCredentialError,
        "refused",
        "check the keys: the store knows no such access key",
        ("invalidaccesskeyid",),
    ),
    _Kind(
        StoreCredentialError,
        "refused",
        "check the keys: the session's token is none of theirs, or has expired; get a new one",
        ("expiredtoken", "invalidtoken"),
    ),
    _Kind(
        StoreCredentialError,
        "refused",
        "check the credential: its id and secret do not belong together, or it was deleted, or has expired",
        ("authorization failed", "unauthorized", "statuscode: 401", "handshake failed: ssh: unable to authenticate"),
    ),
    _Kind(
        StoreCredentialError,
        "refused",
        "Keystone knows no such credential (deleted, or its id mistyped), or its address is not one that ends in /v3",
        ("http error: 404",),
    ),
    _Kind(
        StoreError,
        "no object store",
        "the credential is good, but the cloud's catalogue has no object store in that region; check the region",
        ("didn't have storage url",),
    ),
    _Kind(
        StoreDeniedError,
        "refused",
        "check the keys and their rights: these may not do that there",
        (
            "accessdenied",
            "access denied",
            "permission denied",
            "operation not permitted",
            "read-only file system",
            "forbidden",
            "statuscode: 403",
        ),
    ),
    _Kind(
        StoreUnreachableError,
        "no safe connection",
        "check whether its address begins with http or https, and who signed its certificate",
        ("x509:", "tls: ", "server gave http response to https client"),
    ),
    _Kind(
        StoreUnreachableError,
        "no answer",
        "check the address, and run again",
        (
            "connection refused",
            "connection reset",
            "no such host",
            "no route to host",
            "network is unreachable",
            "i/o timeout",
            "timeout when reading or writing",
            "tls handshake",
            "deadline exceeded",
            "server misbehaving",
            "request send failed",
            "couldn't connect",
            "broken pipe",
            "unexpected eof",
            ": eof",
            "statuscode: 502",
            "statuscode: 503",
            "statuscode: 504",
            "http error: 502",
            "http error: 503",
            "http error: 504",
        ),
    ),
    _Kind(
        StoreError,
        "the store itself failed",
        "see its log and its free space",
        ("statuscode: 5", "http error: 5"),
    ),
)


def failure(text: str, where: str, doing: str) -> MatineeError:
    """The error for rclone's message `text`, met at `where` (an address for people) while `doing` something."""
    low = text.lower()
    said = _one_line(text)
    if "didn't find section in config file" in low:
        return StoreError(
            f"{where}: no such rclone remote; 'matinee store list' lists yours, 'matinee store add' makes one"
        )
    kind = _kind(low)
    if kind is None:
        return StoreError(f"{where}: failed while {doing} ({said})")
    return kind.error(f"{where}: {kind.said} while {doing}; {kind.advice} ({said})")


def is_missing(text: str) -> bool:
    """Whether rclone's message says that the thing asked for is not there."""
    low = text.lower()
    return any(mark in low for mark in _MISSING) and _kind(low) is None


def _kind(low: str) -> _Kind | None:
    return next((kind for kind in _KINDS if any(mark in low for mark in kind.marks)), None)


def _one_line(text: str) -> str:
    """On one line, without request numbers, its end kept where it is too long."""
    line = " ".join(_NOISE.sub("", text).split())
    return line if len(line) <= _LONGEST else "... " + line[-_LONGEST:]
