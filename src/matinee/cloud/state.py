"""`matinee cloud status`: what there is, as plain records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from matinee.cloud.remote import answers
from matinee.cloud.server import fault_of
from matinee.cloud.survey import Survey, look
from matinee.cloud.volume import holder_of

if TYPE_CHECKING:
    from matinee.cloud.clouds import Sites
    from matinee.cloud.wanted import Wanted

__all__ = ["ContainerState", "ServerState", "Status", "VolumeState", "read_status"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """The server as the cloud tells it.

    Attributes:
        state: ACTIVE, BUILD, ERROR, ...
        fault: why it is in ERROR.
        reachable: whether an SSH server answers at its address.
    """

    id: str
    name: str
    state: str
    fault: str | None
    created: datetime
    address: str | None
    reachable: bool


@dataclass(frozen=True, slots=True)
class VolumeState:
    """The volume as the cloud tells it; `attached` means to our server."""

    id: str
    name: str
    state: str
    size_gb: int
    attached: bool


@dataclass(frozen=True, slots=True)
class ContainerState:
    """The container as the object store tells it."""

    name: str
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """What there is; None for what there is not."""

    cloud: str
    object_cloud: str
    server: ServerState | None
    volume: VolumeState | None
    container: ContainerState | None


def read_status(sites: Sites, want: Wanted) -> Status:
    """Look at everything of ours, and knock at the server's door."""
    survey = look(sites, want)
    found = survey.container
    return Status(
        cloud=sites.server.name,
        object_cloud=sites.objects.name,
        server=_server(survey),
        volume=_volume(survey),
        container=ContainerState(found.name, found.objects, found.size_bytes) if found else None,
    )


def _server(survey: Survey) -> ServerState | None:
    server = survey.server
    if server is None:
        return None
    address = survey.address.floating_ip_address if survey.address else None
    return ServerState(
        id=server.id,
        name=server.name,
        state=server.status,
        fault=fault_of(server) if server.status == "ERROR" else None,
        created=datetime.fromisoformat(server.created_at),
        address=address,
        reachable=address is not None and answers(address),
    )


def _volume(survey: Survey) -> VolumeState | None:
    volume, server = survey.volume, survey.server
    if volume is None:
        return None
    attached = server is not None and holder_of(volume) == server.id
    return VolumeState(volume.id, volume.name, volume.status, volume.size, attached)
