"""From where the server may be reached by SSH: what the settings say, or the address that the internet sees us by."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from matinee.errors import CloudError, UsageError

if TYPE_CHECKING:
    from matinee.cloud.wanted import Wanted

__all__ = ["ssh_source"]

_TIMEOUT_S: Final = 10.0


def ssh_source(want: Wanted) -> str:
    """A CIDR: `ssh_from` of the settings, or our own address as `address_service` sees it.

    Raises:
        UsageError: `ssh_from` is no address or network.
        CloudError: the service does not answer with an address.
    """
    if want.ssh_from is not None:
        try:
            return str(ipaddress.ip_network(want.ssh_from, strict=False))
        except ValueError as error:
            raise UsageError(
                f"[cloud] ssh_from = {want.ssh_from!r}: {error}; expected one like '203.0.113.7/32'"
            ) from None
    text = _ask(want.address_service)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise CloudError(_cannot(want.address_service, f"it answered {text[:60]!r}")) from None


def _ask(url: str) -> str:
    import httpx  # noqa: PLC0415 - only where the settings do not say

    try:
        # A floating IP is IPv4, so it sees us by our IPv4 address: ask over IPv4.
        with httpx.Client(transport=httpx.HTTPTransport(local_address="0.0.0.0"), timeout=_TIMEOUT_S) as client:  # noqa: S104 - the calling end, nothing listens
            return client.get(url).raise_for_status().text.strip()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CloudError(_cannot(url, str(error))) from None


def _cannot(url: str, why: str) -> str:
    return f"{url}: cannot tell our own address ({why}); set ssh_from in [cloud], for example '203.0.113.7/32'"
