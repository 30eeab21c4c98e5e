"""`matinee cloud down`: the server and what belongs to it go; what holds data stays unless its name was typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matinee.cloud import container, floating_ip, security_group, server, volume
from matinee.cloud.steps import Plan, Step
from matinee.cloud.waiting import wait_until
from matinee.errors import CloudConflictError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.cloud.clouds import Sites
    from matinee.cloud.survey import Survey
    from matinee.cloud.wanted import Wanted
    from matinee.schema.progress import Progress

__all__ = ["check_typed", "plan_down", "take_down"]

_GROUP_TIMEOUT_S: Final = 120.0


def check_typed(want: Wanted, survey: Survey, *, delete_volume: str | None, delete_container: str | None) -> None:
    """Data goes only when its very name was typed, and only where `matinee cloud` made it.

    Raises:
        UsageError: the name is another one's.
        CloudConflictError: the container is somebody else's.
    """
    for typed, name, option in (
        (delete_volume, want.volume, "--delete-volume"),
        (delete_container, want.container, "--delete-container"),
    ):
        if typed is not None and typed != name:
            raise UsageError(f"{option} {typed!r}: nothing was removed; the name to type here is {name!r}")
    if delete_container is not None and survey.container is not None and not survey.container.ours:
        raise CloudConflictError(
            f"container {want.container!r} was not made by 'matinee cloud', so it does not delete it; nothing was "
            "removed"
        )


def plan_down(sites: Sites, want: Wanted, survey: Survey, *, delete_volume: bool, delete_container: bool) -> Plan:
    """What `take_down` would do."""
    return Plan(
        sites.server.name,
        sites.objects.name,
        tuple(_steps(want, survey, delete_volume=delete_volume, delete_container=delete_container)),
    )


def take_down(
    sites: Sites, want: Wanted, survey: Survey, *, delete_volume: bool, delete_container: bool, progress: Progress
) -> None:
    """Remove it; what is gone already is fine.

    Raises:
        CloudError: a step failed; the next call goes on from there.
    """
    cloud = sites.server
    if survey.server is not None:
        server.delete_server(cloud, survey.server, progress)
        floating_ip.delete_ports(cloud, survey.server)
    if survey.address is not None:
        floating_ip.delete_address(cloud, survey.address)
    if survey.group is not None:
        group = survey.group
        wait_until(
            lambda: None if security_group.delete_group(cloud, group) else "in use",
            f"deleting security group {group.name}",
            _GROUP_TIMEOUT_S,
            progress,
        )
    if delete_volume and survey.volume is not None:
        disk = volume.wait_usable(cloud, survey.volume, progress)
        volume.check_free(cloud, disk, None)
        volume.delete_volume(cloud, disk)
    if delete_container and survey.container is not None:
        container.delete_container(sites.objects, want, progress)


def _steps(want: Wanted, survey: Survey, *, delete_volume: bool, delete_container: bool) -> Iterator[Step]:
    if survey.server is not None:
        yield Step("delete", "server", want.name, f"{survey.server.status}, {survey.server.id}")
    if survey.address is not None:
        yield Step("delete", "floating IP", survey.address.floating_ip_address)
    if survey.group is not None:
        yield Step("delete", "security group", want.security_group)
    if survey.volume is not None:
        size = f"{survey.volume.size} GB"
        if delete_volume:
            yield Step("delete", "volume", want.volume, f"{size}, with all data on it")
        else:
            yield Step("keep", "volume", want.volume, size)
    if survey.container is not None:
        objects = f"{survey.container.objects} objects"
        if delete_container:
            yield Step("delete", "container", want.container, f"{objects}, all of them")
        else:
            yield Step("keep", "container", want.container, objects)
