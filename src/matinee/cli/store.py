"""`matinee store ...`: remote stores by name: add one, prove what it lets you do, list them, remove one."""

import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from matinee.cli.output import SPEAKING, Flag, Output
from matinee.errors import StoreError

if TYPE_CHECKING:
    from matinee.store import Checked

__all__ = ["add", "check", "list_", "remove"]


def add(
    name: str,
    /,
    *,
    type: Annotated[Literal["swift", "s3"] | None, Parameter(show_choices=True)] = None,  # noqa: A002 - as in rclone
    cloud: str | None = None,
    auth_url: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    provider: str | None = None,
    key_id: str | None = None,
    secret_file: Path | None = None,
    config: Path | None = None,
    force: Flag = False,
    dry_run: Flag = False,
    no_check: Flag = False,
    output: Output = SPEAKING,
) -> None:
    """Add a remote store to rclone's configuration, and check it.

    The secret is taken from --secret-file, from the environment, from clouds.yaml, or asked for on a terminal; it is no
    option, because options can be read by everybody on a machine.

    Args:
        name: The remote's name, or name:container to check that container.
        type: swift for OpenStack with an application credential, or s3; not needed for a remote that is there.
        cloud: Swift: the cloud's name in clouds.yaml; by default OS_CLOUD, else the OS_... variables.
        auth_url: Swift: the address of Keystone.
        endpoint: S3: the address of the service.
        region: The store's region.
        provider: S3: who made it, as rclone names them: AWS, Ceph, Minio, Other.
        key_id: The id of the application credential, or the access key.
        secret_file: A file that holds its secret and nothing else.
        config: rclone's configuration file; by default your own.
        force: Replace a remote of this name that differs.
        dry_run: Write nothing, show what would be written.
        no_check: Do not check it.
        output: How to tell.
    """
    from matinee.store import remotes  # noqa: PLC0415 - a command's rooms are loaded when it is called

    added = remotes.add(
        name,
        type=type,
        cloud=cloud,
        auth_url=auth_url,
        endpoint=endpoint,
        region=region,
        provider=provider,
        key_id=key_id,
        secret_file=secret_file,
        config=config,
        force=force,
        dry_run=dry_run,
        no_check=no_check,
        ask=getpass if sys.stdin.isatty() else None,
    )
    done = "written to" if added.written else "would be written to" if dry_run else "is already in"
    output.line(f"{added.name} ({added.type}) {done} {added.config}")
    output.facts(added.settings)
    if config is not None and not dry_run:
        output.line(f"Other commands find it with RCLONE_CONFIG={added.config} in the environment.")
    if added.checked is not None:
        output.line()
        _print_steps(added.checked, output)
    output.result(added)
    _fail_if(added.checked)


def check(store: str, /, *, endpoint: str | None = None, config: Path | None = None, output: Output = SPEAKING) -> None:
    """Prove that a store can be listed, written, read, replaced and deleted in; leave nothing behind.

    Args:
        store: A remote's name, name:container, s3://bucket, or a folder.
        endpoint: The address of the S3 service for s3://bucket; keys come from the environment.
        config: rclone's configuration file; by default your own.
        output: How to tell.
    """
    from matinee.store import remotes  # noqa: PLC0415 - a command's rooms are loaded when it is called

    checked = remotes.check(store, endpoint=endpoint, config=config)
    _print_steps(checked, output)
    output.result(checked)
    _fail_if(checked)


def list_(*, config: Path | None = None, output: Output = SPEAKING) -> None:
    """List the remote stores that rclone knows by name; no secrets.

    Args:
        config: rclone's configuration file; by default your own.
        output: How to tell.
    """
    from matinee.store import remotes  # noqa: PLC0415 - a command's rooms are loaded when it is called

    found = remotes.list(config=config)
    output.table(("name", "type", "address"), [(remote.name, remote.type, remote.address) for remote in found])
    if not found:
        output.line("No remotes yet; `matinee store add NAME --type swift` (or s3) makes one.")
    output.result(found)


def remove(name: str, /, *, config: Path | None = None, output: Output = SPEAKING) -> None:
    """Take a remote out of rclone's configuration; what lies in the store stays there.

    Args:
        name: The remote's name.
        config: rclone's configuration file; by default your own.
        output: How to tell.
    """
    from matinee.store import remotes  # noqa: PLC0415 - a command's rooms are loaded when it is called

    removed = remotes.remove(name, config=config)
    output.line(f"{removed.name} ({removed.type}) removed; what lies in the store stays there")
    output.result(removed)


def _print_steps(checked: "Checked", output: Output) -> None:
    output.line(f"{checked.store}:")
    output.table(("step", "result", "what was seen"), [(step.name, step.result, step.detail) for step in checked.steps])


def _fail_if(checked: "Checked | None") -> None:
    """One line on stderr and exit code 1 where something failed."""
    failed = [] if checked is None else [step for step in checked.steps if step.result == "failed"]
    if failed:
        raise StoreError(f"{failed[0].detail}; failed: {', '.join(step.name for step in failed)}")
