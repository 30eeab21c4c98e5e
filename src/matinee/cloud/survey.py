"""What is there now: everything of ours in the cloud, and what a new server is made from; looks and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from matinee.cloud.container import Container, find_container
from matinee.cloud.failures import told
from matinee.cloud.floating_ip import find_address, find_port
from matinee.cloud.key_pair import find_key_pair, read_public_key
from matinee.cloud.ours import pick
from matinee.cloud.own_address import ssh_source
from matinee.cloud.security_group import find_group
from matinee.cloud.server import check_sound, find_server
from matinee.cloud.volume import check_free, find_volume, volume_zones
from matinee.errors import UsageError

if TYPE_CHECKING:
    from openstack.block_storage.v3.volume import Volume
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.keypair import Keypair
    from openstack.compute.v2.server import Server
    from openstack.image.v2.image import Image
    from openstack.network.v2.floating_ip import FloatingIP
    from openstack.network.v2.network import Network
    from openstack.network.v2.port import Port
    from openstack.network.v2.security_group import SecurityGroup

    from matinee.cloud.clouds import Cloud, Sites
    from matinee.cloud.wanted import Wanted

__all__ = ["Basis", "Survey", "look", "look_for_up"]


@dataclass(frozen=True, slots=True)
class Survey:
    """What is ours and there; None for what is not. `port` is the server's end of its network."""

    group: SecurityGroup | None
    volume: Volume | None
    server: Server | None
    port: Port | None
    address: FloatingIP | None
    container: Container | None


@dataclass(frozen=True, slots=True)
class Basis:
    """What is the cloud's or the user's, and a new server is made from.

    Attributes:
        source: the CIDR that may reach the server by SSH.
    """

    image: Image
    flavour: Flavor
    network: Network
    external: Network
    key_pair: Keypair | None
    source: str


def look(sites: Sites, want: Wanted) -> Survey:
    """All that is ours.

    Raises:
        CloudConflictError: something is there twice, or is somebody else's.
        CloudError: a cloud does not answer, or says no.
    """
    server = find_server(sites.server, want)
    return Survey(
        group=find_group(sites.server, want),
        volume=find_volume(sites.server, want),
        server=server,
        port=None if server is None else find_port(sites.server, server),
        address=find_address(sites.server, want),
        container=find_container(sites.objects, want),
    )


def look_for_up(sites: Sites, want: Wanted) -> tuple[Survey, Basis]:
    """All that is ours and all that `up` needs besides; what would stop `up` half-way is said here, before it starts.

    Raises:
        UsageError: there is no such image, flavour, network, availability zone or public key.
        CloudConflictError, CloudError: see `look`; the server is broken, the volume is in use elsewhere.
    """
    cloud = sites.server
    survey = look(sites, want)
    if survey.server is not None:
        check_sound(cloud, survey.server)
    if survey.volume is not None:
        check_free(cloud, survey.volume, survey.server)
    connection = cloud.connection
    with told(cloud.name, "listing images, flavours and networks"):
        images = cast("list[Image]", list(connection.image.images()))  # the library's types know the first version, too
        flavours = list(connection.compute.flavors())
        networks = list(connection.network.networks())
    _check_zone(cloud, want)
    external = [network for network in networks if network.is_router_external]
    basis = Basis(
        image=pick(cloud.name, "image", "image", want.image, images),
        flavour=pick(cloud.name, "flavour", "flavour", want.flavour, flavours),
        network=pick(cloud.name, "network", "network", want.network, networks),
        external=pick(cloud.name, "external network", "external_network", want.external_network, external),
        key_pair=find_key_pair(cloud, want),
        source=ssh_source(want),
    )
    if basis.key_pair is None:
        read_public_key(want)
    return survey, basis


def _check_zone(cloud: Cloud, want: Wanted) -> None:
    if want.availability_zone is None:
        return
    with told(cloud.name, "listing availability zones"):
        known = {zone.name for zone in cloud.connection.compute.availability_zones()}
        known &= volume_zones(cloud)
    if want.availability_zone not in known:
        raise UsageError(
            f"{cloud.name}: no availability zone {want.availability_zone!r} for both servers and volumes (key "
            f"availability_zone in [cloud]); there are {', '.join(sorted(known)) or 'none'}"
        )
