"""`matinee cloud up`: the plan, and its steps, each of which finds what an interrupted run has left and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matinee.cloud import container, floating_ip, key_pair, security_group, server, volume
from matinee.cloud.steps import Plan, Step
from matinee.cloud.user_data import MOUNT, user_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.cloud.clouds import Sites
    from matinee.cloud.survey import Basis, Survey
    from matinee.cloud.wanted import Wanted
    from matinee.schema.progress import Progress

__all__ = ["plan_up", "raise_up"]


def plan_up(sites: Sites, want: Wanted, survey: Survey, basis: Basis) -> Plan:
    """What `raise_up` would do."""
    steps = (
        _key_pair_step(want, basis),
        _group_step(want, survey, basis),
        _container_step(sites, want, survey),
        *_volume_steps(want, survey),
        _server_step(want, survey, basis),
        _attach_step(want, survey),
        _address_step(want, survey),
    )
    return Plan(sites.server.name, sites.objects.name, steps)


def raise_up(sites: Sites, want: Wanted, survey: Survey, basis: Basis, progress: Progress) -> None:
    """Make what is missing, in an order in which each thing finds what it needs.

    Raises:
        CloudError: a step failed; what was made stays, and the next call goes on from there.
    """
    cloud = sites.server
    if basis.key_pair is None:
        key_pair.create_key_pair(cloud, want)
    group = survey.group or security_group.create_group(cloud, want)
    security_group.set_source(cloud, want, group, basis.source)
    if survey.container is None:
        container.create_container(sites.objects, want)
    disk = volume.wait_usable(cloud, survey.volume or volume.create_volume(cloud, want), progress)
    machine = survey.server or server.create_server(
        cloud,
        want,
        image=basis.image.id,
        flavour=basis.flavour.id,
        network=basis.network.id,
        group=group.id,
        user_data=user_data(want, disk.id),
    )
    if machine.status == "SHUTOFF":
        server.start_server(cloud, machine)
    machine = server.wait_active(cloud, machine, progress)
    volume.check_free(cloud, disk, machine)
    if volume.holder_of(disk) != machine.id:
        volume.attach_volume(cloud, disk, machine, progress)
    floating_ip.bind_address(cloud, want, machine, basis.external.id, survey.address)


def _key_pair_step(want: Wanted, basis: Basis) -> Step:
    if basis.key_pair is None:
        return Step("create", "key pair", want.key_pair, f"from {want.public_key or 'the public key in ~/.ssh'}")
    return Step("keep", "key pair", want.key_pair)


def _group_step(want: Wanted, survey: Survey, basis: Basis) -> Step:
    name, open_to = want.security_group, f"SSH from {basis.source}, nothing else"
    if survey.group is None:
        return Step("create", "security group", name, open_to)
    others = security_group.others_open(survey.group, want)
    also = f"; opened by others and left alone: {', '.join(others)}" if others else ""
    before = security_group.ours_open(survey.group, want)
    if before == [basis.source]:
        return Step("keep", "security group", name, f"SSH from {basis.source}{also}")
    return Step("change", "security group", name, f"{open_to} (was: {', '.join(before) or 'closed'}){also}")


def _container_step(sites: Sites, want: Wanted, survey: Survey) -> Step:
    if survey.container is None:
        return Step("create", "container", want.container, f"at {sites.objects.name}")
    return Step("keep", "container", want.container, f"at {sites.objects.name}, {survey.container.objects} objects")


def _volume_steps(want: Wanted, survey: Survey) -> Iterator[Step]:
    if survey.volume is None:
        yield Step("create", "volume", want.volume, f"{want.volume_size_gb} GB")
    else:
        size = f"{survey.volume.size} GB"
        asked = f" (settings say {want.volume_size_gb} GB; a volume is not resized)"
        differs = survey.volume.size != want.volume_size_gb
        yield Step("keep", "volume", want.volume, size + (asked if differs else ""))


def _server_step(want: Wanted, survey: Survey, basis: Basis) -> Step:
    found = survey.server
    asked = f"{basis.image.name}, {basis.flavour.name}, in {basis.network.name}"
    if found is None:
        return Step("create", "server", want.name, asked)
    if found.status == "SHUTOFF":
        return Step("start", "server", want.name, "it is stopped")
    if found.status != "ACTIVE":
        return Step("wait", "server", want.name, f"it is in state {found.status}")
    flavour = (found.flavor or {}).get("original_name") or ""
    differs = f"{flavour} (settings say {basis.flavour.name}; 'down' and 'up' make it anew)"
    return Step("keep", "server", want.name, flavour if flavour in {"", basis.flavour.name} else differs)


def _attach_step(want: Wanted, survey: Survey) -> Step:
    disk, machine = survey.volume, survey.server
    where = f"to server {want.name}, at {MOUNT}"
    if disk is not None and machine is not None and volume.holder_of(disk) == machine.id:
        return Step("keep", "attachment", want.volume, where)
    return Step("attach", "attachment", want.volume, f"{where}; formatted only if blank")


def _address_step(want: Wanted, survey: Survey) -> Step:
    if survey.address is None:
        return Step("create", "floating IP", "", f"from {want.external_network}")
    address = survey.address.floating_ip_address
    bound = survey.port is not None and survey.address.port_id == survey.port.id
    return Step("keep" if bound else "change", "floating IP", address, "" if bound else f"leads to server {want.name}")
