"""The verbs behind `matinee cloud ...`, each with the parameters of its command."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from matinee.cloud.wanted import wanted
from matinee.errors import CloudError
from matinee.schema.progress import Silent
from matinee.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.cloud.clouds import Sites
    from matinee.cloud.remote import Forward, Target
    from matinee.cloud.state import Status
    from matinee.cloud.steps import Plan
    from matinee.cloud.survey import Basis, Survey
    from matinee.cloud.wanted import Wanted
    from matinee.schema.progress import Progress
    from matinee.settings import Settings

__all__ = ["down", "plan", "reach", "ssh", "status", "tunnel", "up"]


def plan(*, settings: Settings | None = None) -> Plan:
    """What `up` would do; looks and changes nothing.

    Args:
        settings: of the machine; by default matinee.toml and the environment.

    Raises:
        UsageError, CloudError: see `up`.
    """
    with _open(settings) as (sites, want, _):
        return _plan_up(sites, want)[0]


def up(
    *,
    settings: Settings | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    progress: Progress | None = None,
) -> Status | None:
    """Make what is missing of server, volume, container, address and access, and start the stack on the volume.

    Args:
        settings: of the machine; by default matinee.toml and the environment.
        confirm: asked with the plan before anything is changed; by default nobody is.
        progress: who listens.

    Returns:
        What there is now; None where `confirm` said no.

    Raises:
        UsageError: clouds.yaml or [cloud] names something that is not there.
        CloudError: the cloud says no or breaks off; what was made stays, and the next call goes on from there.
    """
    with _open(settings) as (sites, want, _):
        from matinee.cloud.raising import raise_up  # noqa: PLC0415 - see _open
        from matinee.cloud.state import read_status  # noqa: PLC0415

        steps, survey, basis = _plan_up(sites, want)
        if steps.changes and confirm is not None and not confirm(steps):
            return None
        raise_up(sites, want, survey, basis, progress or Silent())
        return read_status(sites, want)


def status(*, settings: Settings | None = None) -> Status:
    """What there is, and whether the server answers.

    Args:
        settings: of the machine; by default matinee.toml and the environment.

    Raises:
        UsageError, CloudError: see `up`.
    """
    with _open(settings) as (sites, want, _):
        from matinee.cloud.state import read_status  # noqa: PLC0415 - see _open

        return read_status(sites, want)


def ssh(*command: str, settings: Settings | None = None) -> int:
    """Log in to the server, or run a command there; returns its exit code.

    Args:
        command: words for the server's shell; none is a shell to type in.
        settings: of the machine; by default matinee.toml and the environment.

    Raises:
        CloudError: there is no server, or it has no address.
    """
    from matinee.cloud.remote import ssh_argv  # noqa: PLC0415 - see _open

    return subprocess.call(ssh_argv(reach(settings), command))


def tunnel(*, settings: Settings | None = None, opened: Callable[[tuple[Forward, ...]], None] | None = None) -> int:
    """Lead the services of the server's stack to ports of this machine, until interrupted; returns ssh's exit code.

    Args:
        settings: of the machine; by default matinee.toml and the environment.
        opened: told which port leads where, just before.

    Raises:
        CloudError: there is no server, or its stack is not up.
    """
    from matinee.cloud.remote import forwards, tunnel_argv  # noqa: PLC0415 - see _open

    target = reach(settings)
    through = forwards(target)
    if opened is not None:
        opened(through)
    return subprocess.call(tunnel_argv(target, through))


def down(
    *,
    delete_volume: str | None = None,
    delete_container: str | None = None,
    dry_run: bool = False,
    settings: Settings | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    progress: Progress | None = None,
) -> Plan | None:
    """Remove server, floating IP, ports and security group; volume, container and key pair stay.

    Args:
        delete_volume: the volume's name, to delete it with all data on it.
        delete_container: the container's name, to delete it with all objects in it.
        dry_run: only say what would be removed.
        settings: of the machine; by default matinee.toml and the environment.
        confirm: asked with the plan before anything is removed; by default nobody is.
        progress: who listens.

    Returns:
        What was removed and kept; None where `confirm` said no.

    Raises:
        UsageError: a name that was typed is not the one.
        CloudError: the cloud says no or breaks off; the next call goes on from there.
    """
    with _open(settings) as (sites, want, _):
        from matinee.cloud.removal import check_typed, plan_down, take_down  # noqa: PLC0415 - see _open
        from matinee.cloud.survey import look  # noqa: PLC0415

        survey = look(sites, want)
        check_typed(want, survey, delete_volume=delete_volume, delete_container=delete_container)
        data = {"delete_volume": delete_volume is not None, "delete_container": delete_container is not None}
        steps = plan_down(sites, want, survey, **data)
        if dry_run:
            return steps
        if steps.changes and confirm is not None and not confirm(steps):
            return None
        take_down(sites, want, survey, **data, progress=progress or Silent())
        return steps


def reach(settings: Settings | None = None) -> Target:
    """Where ssh finds the server.

    Raises:
        CloudError: there is no server, or it has no address.
    """
    from matinee.cloud.floating_ip import find_address  # noqa: PLC0415 - see _open
    from matinee.cloud.remote import Target  # noqa: PLC0415
    from matinee.cloud.server import find_server  # noqa: PLC0415

    with _open(settings) as (sites, want, machine):
        server, address = find_server(sites.server, want), find_address(sites.server, want)
        if server is None or address is None:
            missing = "server" if server is None else "floating IP"
            raise CloudError(
                f"{sites.server.name}: no {missing} of {want.name!r} is there; 'matinee cloud up' makes it"
            )
        return Target.of(want, server.id, address.floating_ip_address, machine.data_dir)


@contextmanager
def _open(settings: Settings | None) -> Iterator[tuple[Sites, Wanted, Settings]]:
    """The open clouds, and what is asked of them; openstacksdk is loaded no earlier, as `import matinee` is light."""
    from matinee.cloud.clouds import open_sites  # noqa: PLC0415 - see above

    machine = settings or read_settings()
    want = wanted(machine.cloud)
    with open_sites(machine.cloud) as sites:
        yield sites, want, machine


def _plan_up(sites: Sites, want: Wanted) -> tuple[Plan, Survey, Basis]:
    from matinee.cloud.raising import plan_up  # noqa: PLC0415 - see _open
    from matinee.cloud.survey import look_for_up  # noqa: PLC0415

    survey, basis = look_for_up(sites, want)
    return plan_up(sites, want, survey, basis), survey, basis
