"""The server: found by name and tag, made, started, waited for, removed."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

from matinee.cloud.failures import told
from matinee.cloud.ours import only
from matinee.cloud.waiting import wait_until
from matinee.cloud.wanted import TAG
from matinee.errors import CloudError

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server

    from matinee.cloud.clouds import Cloud
    from matinee.cloud.wanted import Wanted
    from matinee.schema.progress import Progress

__all__ = ["check_sound", "create_server", "delete_server", "fault_of", "find_server", "start_server", "wait_active"]

_ACTIVE_TIMEOUT_S: Final = 900.0
_STOP_TIMEOUT_S: Final = 120.0
_DELETE_TIMEOUT_S: Final = 600.0
_GONE: Final = {"DELETED", "SOFT_DELETED"}


def find_server(cloud: Cloud, want: Wanted) -> Server | None:
    """Our server; None where there is none."""
    name = want.name
    with told(cloud.name, f"looking for server {name!r}"):
        # Nova takes the name as a regular expression.
        listed = cloud.connection.compute.servers(details=True, name=f"^{re.escape(name)}$")
        same = [server for server in listed if server.name == name and server.status not in _GONE]
    ours = [server for server in same if (server.metadata or {}).get(TAG) == name]
    return only(cloud.name, "server", name, ours, same, f"openstack server set --property {want.mark}")


def fault_of(server: Server) -> str:
    """Why it is broken, in the cloud's words."""
    return str((server.fault or {}).get("message") or "the cloud does not say why")


def check_sound(cloud: Cloud, server: Server) -> None:
    """Let no broken server be waited for.

    Raises:
        CloudError: it is in state ERROR, or in one that only a person should end.
    """
    if server.status == "ERROR":
        raise CloudError(
            f"{cloud.name}: server {server.name!r} ({server.id}) is in state ERROR: {fault_of(server)}; 'matinee cloud "
            "down' removes it and leaves volume and container, then run 'matinee cloud up' again"
        )
    if server.status not in {"ACTIVE", "BUILD", "SHUTOFF", "REBOOT", "HARD_REBOOT"}:
        raise CloudError(
            f"{cloud.name}: server {server.name!r} ({server.id}) is in state {server.status}; bring it back to ACTIVE "
            "on the site's web page (unshelve, resume, unpause), or remove it with 'matinee cloud down'"
        )


def create_server(
    cloud: Cloud, want: Wanted, *, image: str, flavour: str, network: str, group: str, user_data: str
) -> Server:
    """Ask for it; ids for `image`, `flavour`, `network` and security `group`."""
    options: dict[str, Any] = {"availability_zone": want.availability_zone} if want.availability_zone else {}
    with told(cloud.name, f"creating server {want.name!r}"):
        return cloud.connection.compute.create_server(
            name=want.name,
            image_id=image,
            flavor_id=flavour,
            key_name=want.key_pair,
            networks=[{"uuid": network}],
            security_groups=[{"name": group}],
            user_data=base64.b64encode(user_data.encode()).decode(),
            metadata=want.metadata,
            **options,
        )


def start_server(cloud: Cloud, server: Server) -> None:
    """Switch a stopped one on again."""
    with told(cloud.name, f"starting server {server.name!r}"):
        cloud.connection.compute.start_server(server)


def wait_active(cloud: Cloud, server: Server, progress: Progress) -> Server:
    """The server once it runs."""
    latest = [server]

    def state() -> str | None:
        with told(cloud.name, f"looking at server {server.name or server.id!r}"):
            latest[0] = cloud.connection.compute.get_server(server.id)
        check_sound(cloud, latest[0])
        return None if latest[0].status == "ACTIVE" else str(latest[0].status)

    wait_until(state, f"server {server.name}", _ACTIVE_TIMEOUT_S, progress)
    return latest[0]


def delete_server(cloud: Cloud, server: Server, progress: Progress) -> None:
    """Shut it down, so that what it has written is on the volume, then delete it and wait until it is gone."""
    if server.status == "ACTIVE":
        _stop(cloud, server, progress)
    with told(cloud.name, f"deleting server {server.name!r}"):
        cloud.connection.compute.delete_server(server, ignore_missing=True)
    wait_until(lambda: _state(cloud, server), f"deleting server {server.name}", _DELETE_TIMEOUT_S, progress)


def _stop(cloud: Cloud, server: Server, progress: Progress) -> None:
    with told(cloud.name, f"stopping server {server.name!r}"):
        cloud.connection.compute.stop_server(server)

    def state() -> str | None:
        now = _state(cloud, server)
        return now if now in {"ACTIVE", "REBOOT", "HARD_REBOOT"} else None

    wait_until(state, f"stopping server {server.name}", _STOP_TIMEOUT_S, progress)


def _state(cloud: Cloud, server: Server) -> str | None:
    """How it is; None when it is gone."""
    with told(cloud.name, f"looking at server {server.name!r}"):
        found = cloud.connection.compute.find_server(server.id, ignore_missing=True)
    return None if found is None or found.status in _GONE else str(found.status)
