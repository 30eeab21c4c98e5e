"""`matinee cloud ...`: a server in an OpenStack cloud, from the plan to its end."""

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from matinee.cli.output import SPEAKING, Flag, Output
from matinee.errors import UsageError
from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.cloud.state import Status
    from matinee.cloud.steps import Plan

__all__ = ["down", "plan", "ssh", "status", "tunnel", "up"]


def plan(*, output: Output = SPEAKING) -> None:
    """Show what `matinee cloud up` would do; nothing is made or changed.

    Args:
        output: How to tell.
    """
    from matinee import cloud  # noqa: PLC0415 - a command's rooms are loaded when it is called

    planned = cloud.plan()
    _print_plan(planned, output)
    output.result(planned)


def up(*, yes: Flag = False, output: Output = SPEAKING) -> int:
    """Make what is missing: server, volume, container, address and access; the stack starts on the volume.

    Run it again after any failure: it finds what was made and goes on from there.

    Args:
        yes: Do not ask.
        output: How to tell.
    """
    from matinee import cloud  # noqa: PLC0415 - a command's rooms are loaded when it is called

    done = cloud.up(confirm=_confirm(output, yes=yes), progress=output.progress())
    if done is None:
        output.line("Nothing was changed.")
        return 1
    _print_status(done, output)
    output.line("The stack is up some minutes after the server: `matinee cloud ssh -- cloud-init status --wait`,")
    output.line("then `matinee cloud tunnel` leads to it.")
    output.result(done)
    return 0


def status(*, output: Output = SPEAKING) -> None:
    """Tell what there is: server, address, volume, container, and whether SSH answers.

    Args:
        output: How to tell.
    """
    from matinee import cloud  # noqa: PLC0415 - a command's rooms are loaded when it is called

    told = cloud.status()
    _print_status(told, output)
    output.result(told)


def ssh(*command: Annotated[str, Parameter(allow_leading_hyphen=True)], output: Output = SPEAKING) -> None:
    """Log in to the server, or run a command there; the exit code is the command's.

    Args:
        command: Words for the server's shell, after `--`; without any it is a shell to type in.
        output: How to tell.
    """
    del output  # ssh has the terminal from here on
    from matinee.cloud.remote import ssh_argv  # noqa: PLC0415 - a command's rooms are loaded when it is called
    from matinee.cloud.verbs import reach  # noqa: PLC0415

    _become(ssh_argv(reach(), command))


def tunnel(*, output: Output = SPEAKING) -> None:
    """Lead the services of the server's stack to ports of this machine, until Ctrl-C.

    Args:
        output: How to tell.
    """
    from matinee.cloud.remote import forwards, tunnel_argv  # noqa: PLC0415 - a command's rooms are loaded when it is called
    from matinee.cloud.verbs import reach  # noqa: PLC0415

    target = reach()
    through = forwards(target)
    output.table(
        ("service", "here", "on the server"), [(each.service, each.address, str(each.remote_port)) for each in through]
    )
    output.line("Until Ctrl-C; `matinee cloud ssh -- matinee credentials` shows what lets in.")
    output.result(through)
    _become(tunnel_argv(target, through))


def down(
    *,
    delete_volume: str | None = None,
    delete_container: str | None = None,
    dry_run: Flag = False,
    yes: Flag = False,
    output: Output = SPEAKING,
) -> int:
    """Remove the server, its address, ports and security group; volume and container stay with all that is on them.

    Args:
        delete_volume: Type the volume's name to delete it, too, with all data on it.
        delete_container: Type the container's name to delete it, too, with all objects in it.
        dry_run: Only say what would be removed.
        yes: Do not ask.
        output: How to tell.
    """
    from matinee import cloud  # noqa: PLC0415 - a command's rooms are loaded when it is called

    done = cloud.down(
        delete_volume=delete_volume,
        delete_container=delete_container,
        dry_run=dry_run,
        confirm=_confirm(output, yes=yes),
        progress=output.progress(),
    )
    if done is None:
        output.line("Nothing was removed.")
        return 1
    if dry_run:
        _print_plan(done, output)
    else:
        kept = ", ".join(f"{step.kind} {step.name}" for step in done.steps if step.action == "keep")
        output.line(f"Removed; {kept or 'nothing'} stays." if done.changes else "Nothing to remove.")
    output.result(done)
    return 0


def _confirm(output: Output, *, yes: bool) -> "Callable[[Plan], bool]":
    """Show the plan, and ask where somebody can answer."""

    def ask(planned: "Plan") -> bool:
        _print_plan(planned, output)
        if yes:
            return True
        if not (output.speaks and sys.stdin.isatty()):
            raise UsageError(
                "nobody is there to say yes; look at the plan ('matinee cloud plan', '--dry-run'), then pass --yes"
            )
        return input("Do this? [y/N] ").strip().lower() in {"y", "yes"}

    return ask


def _print_plan(planned: "Plan", output: Output) -> None:
    output.table(
        ("action", "what", "name", "detail"),
        [(step.action, step.kind, step.name, step.detail) for step in planned.steps],
    )
    sites = planned.cloud if planned.cloud == planned.object_cloud else f"{planned.cloud} and {planned.object_cloud}"
    output.line(f"At {sites}: {planned.changes or 'nothing'} to do.")


def _print_status(told: "Status", output: Output) -> None:
    server, volume, container = told.server, told.volume, told.container
    facts: dict[str, object] = {"cloud": told.cloud, "server": "none; `matinee cloud up` makes it"}
    if server is not None:
        facts["server"] = f"{server.name}, {server.state}, {_age(server.created)} old"
        if server.fault:
            facts["fault"] = f"{server.fault}; `matinee cloud down` removes the server and leaves the data"
        facts["address"] = server.address or "none"
        facts["SSH"] = "answers" if server.reachable else "does not answer"
    if volume is not None:
        facts["volume"] = f"{volume.name}, {volume.size_gb} GB, {'attached' if volume.attached else volume.state}"
    if container is not None:
        size = show_size(container.size_bytes)
        facts["container"] = f"{container.name} at {told.object_cloud}, {container.objects:,} objects, {size}"
    output.facts(facts)


def _age(since: datetime) -> str:
    """In the largest unit that fits: '3 days', '5 hours', '12 minutes'."""
    minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
    for unit, length in (("day", 24 * 60), ("hour", 60), ("minute", 1)):
        if minutes >= length:
            count = minutes // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def _become(argv: list[str]) -> None:
    """End as ssh, so that the terminal, its signals and the exit code are ssh's own."""
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise UsageError(f"{argv[0]} cannot be started ({error}); install OpenSSH's client") from None
