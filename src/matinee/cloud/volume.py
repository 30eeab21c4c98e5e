"""The block volume: made once, attached to one server after the other, deleted only when its name is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from matinee.cloud.failures import told
from matinee.cloud.ours import only
from matinee.cloud.waiting import wait_until
from matinee.cloud.wanted import TAG
from matinee.errors import CloudConflictError, CloudError

if TYPE_CHECKING:
    from openstack.block_storage.v3._proxy import Proxy
    from openstack.block_storage.v3.volume import Volume
    from openstack.compute.v2.server import Server

    from matinee.cloud.clouds import Cloud
    from matinee.cloud.wanted import Wanted
    from matinee.schema.progress import Progress

__all__ = [
    "attach_volume",
    "check_free",
    "create_volume",
    "delete_volume",
    "find_volume",
    "holder_of",
    "volume_zones",
    "wait_usable",
]

_CREATE_TIMEOUT_S: Final = 600.0
_ATTACH_TIMEOUT_S: Final = 300.0
_BAD_REQUEST: Final = 400


def find_volume(cloud: Cloud, want: Wanted) -> Volume | None:
    """Our volume; None where there is none."""
    name = want.volume
    with told(cloud.name, f"looking for volume {name!r}"):
        same = [
            volume
            for volume in _cinder(cloud).volumes(details=True, name=name)
            if volume.name == name and volume.status != "deleting"
        ]
    ours = [volume for volume in same if (volume.metadata or {}).get(TAG) == want.name]
    return only(cloud.name, "volume", name, ours, same, f"openstack volume set --property {want.mark}")


def volume_zones(cloud: Cloud) -> set[str]:
    """The names of the availability zones that have volumes."""
    return {zone.name for zone in _cinder(cloud).availability_zones()}


def holder_of(volume: Volume) -> str | None:
    """The id of the server that has it."""
    return volume.attachments[0]["server_id"] if volume.attachments else None


def check_free(cloud: Cloud, volume: Volume, server: Server | None) -> None:
    """Let nobody else's volume be taken.

    Raises:
        CloudConflictError: another server has it.
        CloudError: it is broken.
    """
    if str(volume.status).startswith("error"):
        raise CloudError(
            f"{cloud.name}: volume {volume.name!r} ({volume.id}) is in state {volume.status!r}; the data may be whole, "
            "ask the site's help desk to reset it"
        )
    holder = holder_of(volume)
    if holder is None or (server is not None and holder == server.id):
        return
    with told(cloud.name, f"looking for server {holder}"):
        other = cloud.connection.compute.find_server(holder, ignore_missing=True)
    named = f"{other.name!r} ({holder})" if other else holder
    raise CloudConflictError(
        f"{cloud.name}: volume {volume.name!r} is attached to another server, {named}; detach it there first: "
        f"openstack server remove volume {holder} {volume.id}"
    )


def create_volume(cloud: Cloud, want: Wanted) -> Volume:
    """An empty volume, tagged in the same request so that it is never made twice."""
    zone = {"availability_zone": want.availability_zone} if want.availability_zone else {}
    with told(cloud.name, f"creating volume {want.volume!r} of {want.volume_size_gb} GB"):
        return _cinder(cloud).create_volume(name=want.volume, size=want.volume_size_gb, metadata=want.metadata, **zone)


def wait_usable(cloud: Cloud, volume: Volume, progress: Progress) -> Volume:
    """The volume once it is neither being made nor on its way to or from a server."""
    latest = [volume]

    def state() -> str | None:
        with told(cloud.name, f"looking at volume {volume.name!r}"):
            latest[0] = _cinder(cloud).get_volume(volume.id)
        check = latest[0]
        if str(check.status).startswith("error"):
            check_free(cloud, check, None)
        return None if check.status in {"available", "in-use"} else str(check.status)

    wait_until(state, f"volume {volume.name}", _CREATE_TIMEOUT_S, progress)
    return latest[0]


def attach_volume(cloud: Cloud, volume: Volume, server: Server, progress: Progress) -> None:
    """Attach it and wait until it is."""
    from openstack.exceptions import HttpException  # noqa: PLC0415 - a third of a second

    with told(cloud.name, f"attaching volume {volume.name!r} to server {server.name!r}"):
        try:
            cloud.connection.compute.create_volume_attachment(server, volume_id=volume.id)
        except HttpException as error:
            if error.status_code == _BAD_REQUEST and "availability" in str(error.details).lower():
                raise CloudConflictError(
                    f"{cloud.name}: volume {volume.name!r} is in availability zone {volume.availability_zone!r}, "
                    f"server {server.name!r} in {server.availability_zone!r}; set availability_zone in [cloud] to the "
                    "volume's, then 'matinee cloud down' and 'matinee cloud up'"
                ) from None
            raise

    def state() -> str | None:
        with told(cloud.name, f"looking at volume {volume.name!r}"):
            now = _cinder(cloud).get_volume(volume.id)
        check_free(cloud, now, server)
        return None if now.status == "in-use" and holder_of(now) == server.id else str(now.status)

    wait_until(state, f"attaching volume {volume.name}", _ATTACH_TIMEOUT_S, progress)


def delete_volume(cloud: Cloud, volume: Volume) -> None:
    """Delete it and all that is on it."""
    with told(cloud.name, f"deleting volume {volume.name!r}"):
        _cinder(cloud).delete_volume(volume, ignore_missing=True)


def _cinder(cloud: Cloud) -> Proxy:
    """Cinder's third version; the second has been gone since 2020, but the library's types still know it."""
    return cast("Proxy", cloud.connection.block_storage)
