"""What the settings ask for, with every name settled: the one description that planning and doing share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from matinee.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.settings import CloudSettings

__all__ = ["TAG", "Wanted", "wanted"]

TAG: Final = "matinee"  # the metadata key by which each resource is known as ours; its value is the server's name
# The name becomes a host name, a volume's name and part of a description.
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The settings of `[cloud]`, each name filled in; see `matinee.settings.CloudSettings`."""

    name: str
    image: str
    flavour: str
    key_pair: str
    public_key: Path | None
    network: str
    external_network: str
    security_group: str
    ssh_from: str | None
    address_service: str
    availability_zone: str | None
    volume: str
    volume_size_gb: int
    container: str
    ssh_user: str
    package: str

    @property
    def mark(self) -> str:
        """What Neutron's resources carry as their description; it is set in the request that makes them."""
        return f"{TAG}={self.name}"

    @property
    def metadata(self) -> dict[str, str]:
        """What server and volume carry."""
        return {TAG: self.name}


def wanted(settings: CloudSettings) -> Wanted:
    """The settings with every name filled in.

    Raises:
        UsageError: the name or the account cannot be one.
    """
    name = settings.name
    if not _NAME.fullmatch(name):
        raise UsageError(f"[cloud] name = {name!r}: expected a host name: small letters, digits and '-', 63 at most")
    if not _USER.fullmatch(settings.ssh_user):
        raise UsageError(f"[cloud] ssh_user = {settings.ssh_user!r}: expected the name of an account on the image")
    return Wanted(
        name=name,
        image=settings.image,
        flavour=settings.flavour,
        key_pair=settings.key_pair or name,
        public_key=settings.public_key,
        network=settings.network,
        external_network=settings.external_network,
        security_group=settings.security_group or name,
        ssh_from=settings.ssh_from,
        address_service=settings.address_service,
        availability_zone=settings.availability_zone,
        volume=settings.volume or name,
        volume_size_gb=settings.volume_size_gb,
        container=settings.container or name,
        ssh_user=settings.ssh_user,
        package=settings.package or f"matinee[stack]=={version('matinee')}",
    )
