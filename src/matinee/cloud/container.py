"""The object container: where versions are published to, perhaps at another site than the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from matinee.cloud.failures import told
from matinee.cloud.wanted import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.cloud.clouds import Cloud
    from matinee.cloud.wanted import Wanted
    from matinee.schema.progress import Progress

__all__ = ["Container", "create_container", "delete_container", "find_container"]

_META: Final = f"X-Container-Meta-{TAG.capitalize()}"
_MISSING: Final = 404
_SEGMENTS: Final = "_segments"  # where rclone and the Swift client put the parts of large objects


@dataclass(frozen=True, slots=True)
class Container:
    """What Swift tells of a container.

    Attributes:
        ours: whether `matinee cloud` made it; only then does `down --delete-container` remove it.
        size_bytes: of all objects in it, without the parts of large ones.
    """

    name: str
    ours: bool
    objects: int
    size_bytes: int


def find_container(cloud: Cloud, want: Wanted) -> Container | None:
    """The container of that name, whoever made it; None where there is none."""
    with told(cloud.name, f"looking for container {want.container!r}"):
        answer = _ask(cloud, "HEAD", want.container)
    if answer.status_code == _MISSING:
        return None
    told_of = answer.headers
    return Container(
        name=want.container,
        ours=told_of.get(_META) == want.name,
        objects=int(told_of.get("X-Container-Object-Count", 0)),
        size_bytes=int(told_of.get("X-Container-Bytes-Used", 0)),
    )


def create_container(cloud: Cloud, want: Wanted) -> None:
    """Make it, tagged in the same request."""
    with told(cloud.name, f"creating container {want.container!r}"):
        _ask(cloud, "PUT", want.container, headers={_META: want.name})


def delete_container(cloud: Cloud, want: Wanted, progress: Progress) -> None:
    """Delete it with every object in it, and the parts of large ones in the container beside it."""
    progress.start(f"deleting container {want.container}", None, "objects")
    with told(cloud.name, f"deleting container {want.container!r}"):
        for container in (want.container, want.container + _SEGMENTS):
            for name in _names(cloud, container):
                _ask(cloud, "DELETE", container, name)
                progress.advance(1)
            _ask(cloud, "DELETE", container)
    progress.finish()


def _names(cloud: Cloud, container: str) -> Iterator[str]:
    """Every object's name, a page at a time; what was deleted meanwhile does not move the pages."""
    marker = ""
    while True:
        answer = _ask(cloud, "GET", container, params={"format": "json", "marker": marker})
        page = [] if answer.status_code == _MISSING or not answer.content else answer.json()
        if not page:
            return
        for entry in page:
            yield entry["name"]
        marker = page[-1]["name"]


def _ask(cloud: Cloud, method: str, container: str, name: str = "", **options: Any) -> Any:
    """One request; 'not there' is an answer, everything else that is wrong is raised.

    The library's own Container shares its metadata between all of its instances, and its finder lists the account.
    """
    from openstack.exceptions import raise_from_response  # noqa: PLC0415 - a third of a second

    path = "/" + quote(container, safe="") + ("/" + quote(name, safe="/") if name else "")
    answer = cloud.connection.object_store.request(path, method, **options)
    if answer.status_code != _MISSING or method == "PUT":
        raise_from_response(answer)
    return answer
