"""From an entry of `clouds.yaml` to an open connection, with one line for everything that can be wrong with it."""

from __future__ import annotations

import difflib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from matinee.cloud.failures import told
from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openstack.config import OpenStackConfig
    from openstack.connection import Connection

    from matinee.settings import CloudSettings

__all__ = ["Cloud", "Sites", "open_sites"]

_RETRIES: Final = 3
_BACKOFF_S: Final = 0.5
_HTTP_TIMEOUT_S: Final = 60  # a cloud that says nothing for longer is as good as unreachable
# Asking again after a lost answer is harmless for these alone; a lost answer to POST is found by the next run.
_HARMLESS: Final = frozenset({"GET", "HEAD", "DELETE"})


@dataclass(frozen=True, slots=True)
class Cloud:
    """An open connection and the name that the user knows it by."""

    name: str
    connection: Connection


@dataclass(frozen=True, slots=True)
class Sites:
    """Where the server is and where the objects are; often the same cloud."""

    server: Cloud
    objects: Cloud


@contextmanager
def open_sites(settings: CloudSettings) -> Iterator[Sites]:
    """Both clouds, with a token each.

    Raises:
        UsageError: there is no clouds.yaml, or none of its entries is meant.
        CloudDeniedError: a credential is wrong, expired or revoked.
        CloudUnreachableError: a cloud does not answer.
    """
    config = _read_config()
    name = _choose(config, settings.cloud, "cloud")
    object_name = _choose(config, settings.object_cloud, "object_cloud") if settings.object_cloud else name
    server = _connect(config, name)
    try:
        objects = server if object_name == name else _connect(config, object_name)
        try:
            yield Sites(server, objects)
        finally:
            _close(objects)
    finally:
        _close(server)


def _read_config() -> OpenStackConfig:
    try:
        from openstack.config import OpenStackConfig  # noqa: PLC0415 - a third of a second
        from openstack.exceptions import ConfigException  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed; install what the cloud needs: pip install 'matinee[cloud]'"
        ) from None

    try:
        return OpenStackConfig(app_name="matinee")
    except ConfigException as error:
        raise UsageError(f"clouds.yaml: {error}; see docs/chameleon.md for one that works") from None


def _choose(config: OpenStackConfig, name: str | None, key: str) -> str:
    """The entry that is meant: the one that is named, $OS_CLOUD, or the only one there is."""
    known = config.get_cloud_names()
    if config.config_filename is None and known == ["defaults"]:  # the library's own entry, which leads nowhere
        known = []
    where = config.config_filename or "clouds.yaml"
    if not known:
        raise UsageError(
            "no clouds.yaml in this folder, ~/.config/openstack or /etc/openstack, nor at $OS_CLIENT_CONFIG_FILE; make "
            "an application credential on the site's web page, download its clouds.yaml and put it there"
        )
    name = name or os.environ.get("OS_CLOUD") or (known[0] if len(known) == 1 else None)
    if name is None:
        raise UsageError(f"{where} has {', '.join(known)}; say which one with {key} in [cloud] of matinee.toml")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"[cloud] {key} = {name!r}: not in {where}{hint}; known are {', '.join(known)}")
    return name


def _connect(config: OpenStackConfig, name: str) -> Cloud:
    from keystoneauth1.exceptions import ClientException  # noqa: PLC0415 - see _read_config
    from openstack.connection import Connection  # noqa: PLC0415
    from openstack.exceptions import ConfigException  # noqa: PLC0415

    where = config.config_filename or "clouds.yaml"
    try:
        region = config.get_one(cloud=name)
        session = region.get_session()
    except (ConfigException, ClientException) as error:
        raise UsageError(f"{where}: entry {name!r} is incomplete: {error}") from None
    session.timeout = session.timeout or _HTTP_TIMEOUT_S
    _retry(session.session)
    cloud = Cloud(name, Connection(config=region))
    try:
        with told(name, "asking for a token", credential=f"entry {name!r} of {where}"):
            session.get_token()
    except BaseException:
        _close(cloud)
        raise
    return cloud


def _retry(requests_session: Any) -> None:
    """Let an overloaded gateway or a dropped connection be asked again, where that cannot do anything twice."""
    from urllib3.util import Retry  # noqa: PLC0415 - comes with openstacksdk

    for adapter in requests_session.adapters.values():
        adapter.max_retries = Retry(
            _RETRIES,
            backoff_factor=_BACKOFF_S,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=_HARMLESS,
            raise_on_status=False,
        )


def _close(cloud: Cloud) -> None:
    cloud.connection.close()
    cloud.connection.session.session.close()
