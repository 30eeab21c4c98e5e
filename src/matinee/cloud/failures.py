"""What an OpenStack cloud can answer, as one line of ours: who said no, to what, why, and what to do next."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import CloudDeniedError, CloudError, CloudUnreachableError, MatineeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["told"]

_UNAUTHORISED: Final = 401
_FORBIDDEN: Final = 403
_MISSING: Final = 404
_CONFLICT: Final = 409
_OVER_LIMIT: Final = 413
_BROKEN: Final = 500
_QUOTA_WORDS: Final = ("quota", "exceed", "limit")
_AGAIN: Final = "run the same command again: it finds what was made and goes on"


@contextmanager
def told(cloud: str, doing: str, *, credential: str = "") -> Iterator[None]:
    """Turn whatever the libraries raise inside the block into one line about `cloud` and what it was `doing`.

    Raises:
        CloudDeniedError, CloudUnreachableError, CloudError: as the answer says.
    """
    from keystoneauth1.exceptions import ClientException  # noqa: PLC0415 - a third of a second
    from openstack.exceptions import SDKException  # noqa: PLC0415

    try:
        yield
    except (SDKException, ClientException) as error:
        raise _line(error, f"{cloud}: {doing}", credential or f"entry {cloud!r} of clouds.yaml") from error


def _line(error: Exception, what: str, credential: str) -> MatineeError:
    from keystoneauth1 import exceptions as ksa  # noqa: PLC0415 - see told

    from openstack import exceptions as sdk  # noqa: PLC0415

    status = getattr(error, "status_code", None) or getattr(error, "http_status", None)
    said = _said(error)
    # Keystone says 404 of a credential that was deleted.
    if status == _UNAUTHORISED or (status == _MISSING and "application credential" in said.lower()):
        return CloudDeniedError(
            f"{what}: {status}, the credential is wrong, expired or deleted ({said}); make a new application "
            f"credential on the site's web page and put it into {credential}"
        )
    if status == _OVER_LIMIT or (status in {_FORBIDDEN, _CONFLICT} and _is_quota(said)):
        return CloudDeniedError(
            f"{what}: over a quota ({said}); free something, or ask the site for more, and run again"
        )
    if status == _FORBIDDEN:
        return CloudDeniedError(
            f"{what}: 403, this credential may not do that ({said}); make one with the role 'member'"
        )
    if isinstance(status, int) and status >= _BROKEN:
        return CloudUnreachableError(f"{what}: the cloud answered {status} ({said}); wait a little, then {_AGAIN}")
    if isinstance(error, ksa.ConnectFailure | ksa.ConnectTimeout | ksa.UnknownConnectionError | ksa.DiscoveryFailure):
        return CloudUnreachableError(f"{what}: the connection failed or broke off ({said}); {_AGAIN}")
    if isinstance(error, ksa.EndpointNotFound | sdk.EndpointNotFound | sdk.ConfigException):
        return CloudError(
            f"{what}: this cloud has no such service ({said}); set cloud and object_cloud to ones that do"
        )
    return CloudError(f"{what}: {said}")


def _said(error: Any) -> str:
    """The cloud's own words, or the library's where it had none."""
    return " ".join(str(getattr(error, "details", None) or error).split())


def _is_quota(said: str) -> bool:
    return any(word in said.lower() for word in _QUOTA_WORDS)
