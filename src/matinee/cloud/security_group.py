"""The security group: SSH from one source and nothing else."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from matinee.cloud.failures import told
from matinee.cloud.ours import only

if TYPE_CHECKING:
    from openstack.network.v2.security_group import SecurityGroup
    from openstack.network.v2.security_group_rule import SecurityGroupRule

    from matinee.cloud.clouds import Cloud
    from matinee.cloud.wanted import Wanted

__all__ = ["create_group", "delete_group", "find_group", "others_open", "ours_open", "set_source"]

_SSH_PORT: Final = 22


def find_group(cloud: Cloud, want: Wanted) -> SecurityGroup | None:
    """Our group with its rules; None where there is none."""
    name = want.security_group
    with told(cloud.name, f"looking for security group {name!r}"):
        same = [group for group in cloud.connection.network.security_groups(name=name) if group.name == name]
    ours = [group for group in same if group.description == want.mark]
    return only(
        cloud.name, "security group", name, ours, same, f"openstack security group set --description {want.mark}"
    )


def create_group(cloud: Cloud, want: Wanted) -> SecurityGroup:
    """An empty group: everything may go out, nothing may come in."""
    with told(cloud.name, f"creating security group {want.security_group!r}"):
        return cloud.connection.network.create_security_group(name=want.security_group, description=want.mark)


def ours_open(group: SecurityGroup, want: Wanted) -> list[str]:
    """The sources that our own rules let in."""
    return [_source(rule) for rule in _ingress(group) if rule["description"] == want.mark]


def others_open(group: SecurityGroup, want: Wanted) -> list[str]:
    """What somebody else's rules let in, for a person to read; Matinee leaves them alone and says so."""
    return [
        f"{rule['protocol'] or 'any'} {_range(rule)} from {rule['remote_group_id'] or _source(rule)}"
        for rule in _ingress(group)
        if rule["description"] != want.mark
    ]


def set_source(cloud: Cloud, want: Wanted, group: SecurityGroup, source: str) -> None:
    """Let SSH in from `source`, and no longer from where we were before."""
    network = cloud.connection.network
    with told(cloud.name, f"opening SSH for {source} in security group {want.security_group!r}"):
        if source not in ours_open(group, want):
            network.create_security_group_rule(
                security_group_id=group.id,
                direction="ingress",
                ether_type="IPv6" if ipaddress.ip_network(source).version == 6 else "IPv4",
                protocol="tcp",
                port_range_min=_SSH_PORT,
                port_range_max=_SSH_PORT,
                remote_ip_prefix=source,
                description=want.mark,
            )
        for rule in _ingress(group):
            if rule["description"] == want.mark and _source(rule) != source:
                network.delete_security_group_rule(rule["id"], ignore_missing=True)


def delete_group(cloud: Cloud, group: SecurityGroup) -> bool:
    """Delete it; False where something still uses it."""
    from openstack.exceptions import ConflictException  # noqa: PLC0415 - a third of a second

    with told(cloud.name, f"deleting security group {group.name!r}"):
        try:
            cloud.connection.network.delete_security_group(group, ignore_missing=True)
        except ConflictException:
            return False
    return True


def _ingress(group: SecurityGroup) -> list[SecurityGroupRule]:
    return [rule for rule in group.security_group_rules or [] if rule["direction"] == "ingress"]


def _source(rule: SecurityGroupRule) -> str:
    """Where a rule lets in from; a rule without a prefix lets in from everywhere."""
    return rule["remote_ip_prefix"] or ("::/0" if rule["ethertype"] == "IPv6" else "0.0.0.0/0")


def _range(rule: SecurityGroupRule) -> str:
    low, high = rule["port_range_min"], rule["port_range_max"]
    return "any port" if low is None else str(low) if low == high else f"{low}-{high}"
