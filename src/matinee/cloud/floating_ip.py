"""The floating IP: the address by which the server is reached, given back with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matinee.cloud.failures import told
from matinee.errors import CloudConflictError, CloudError

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server
    from openstack.network.v2.floating_ip import FloatingIP
    from openstack.network.v2.port import Port

    from matinee.cloud.clouds import Cloud
    from matinee.cloud.wanted import Wanted

__all__ = ["bind_address", "delete_address", "delete_ports", "find_address", "find_port"]


def find_address(cloud: Cloud, want: Wanted) -> FloatingIP | None:
    """Our floating IP; None where there is none."""
    with told(cloud.name, "looking for the floating IP"):
        ours = [ip for ip in cloud.connection.network.ips(description=want.mark) if ip.description == want.mark]
    if len(ours) > 1:
        addresses = ", ".join(ip.floating_ip_address for ip in ours)
        raise CloudConflictError(
            f"{cloud.name}: {len(ours)} floating IPs are described as {want.mark!r} ({addresses}), expected one; "
            "delete what is too much: openstack floating ip delete ADDRESS"
        )
    return ours[0] if ours else None


def find_port(cloud: Cloud, server: Server) -> Port | None:
    """The server's end of its network; None while it has none."""
    with told(cloud.name, f"looking for the port of server {server.name!r}"):
        return next(iter(cloud.connection.network.ports(device_id=server.id)), None)


def bind_address(cloud: Cloud, want: Wanted, server: Server, external_id: str, found: FloatingIP | None) -> FloatingIP:
    """Lead an address of the external network to the server: `found`, or a new one."""
    port = find_port(cloud, server)
    if port is None:
        raise CloudError(
            f"{cloud.name}: server {server.name!r} has no port in network {want.network!r}; run again in a minute"
        )
    network = cloud.connection.network
    if found is None:
        with told(cloud.name, f"creating a floating IP in network {want.external_network!r}"):
            return network.create_ip(floating_network_id=external_id, port_id=port.id, description=want.mark)
    if found.port_id == port.id:
        return found
    with told(cloud.name, f"leading floating IP {found.floating_ip_address} to server {server.name!r}"):
        return network.update_ip(found, port_id=port.id)


def delete_address(cloud: Cloud, address: FloatingIP) -> None:
    """Give it back."""
    with told(cloud.name, f"deleting floating IP {address.floating_ip_address}"):
        cloud.connection.network.delete_ip(address, ignore_missing=True)


def delete_ports(cloud: Cloud, server: Server) -> None:
    """What a server that broke while it was built may leave behind."""
    network = cloud.connection.network
    with told(cloud.name, f"deleting the ports of server {server.name!r}"):
        for port in list(network.ports(device_id=server.id)):
            network.delete_port(port, ignore_missing=True)
