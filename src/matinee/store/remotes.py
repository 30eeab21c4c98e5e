"""`matinee store`: the remote stores that rclone's configuration knows by name; add, check, list, remove.

rclone reads and writes its own file, so what is there stays as it is, an encrypted file stays encrypted, and whatever
else uses rclone on this machine sees the same remotes.
"""

from __future__ import annotations

import re
import stat
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import UsageError
from matinee.store.check import check as check_open
from matinee.store.connection import open_store
from matinee.store.credentials import Given, Type, remote_settings
from matinee.store.rclone import Rclone
from matinee.store.records import Added, Checked, Remote

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator

__all__ = ["add", "check", "list", "remove"]

_NAME: Final = re.compile(r"\w[\w.+@-]*")
_ADDRESSES: Final = ("endpoint", "auth", "host", "url", "remote")  # settings that say where a remote is
_MASK: Final = "***"
# Whatever is not known to be harmless is masked: a remote that the user made may hold anything.
_SHOWN: Final = frozenset(
    {
        "access_key_id",
        "application_credential_id",
        "auth",
        "auth_version",
        "endpoint",
        "endpoint_type",
        "env_auth",
        "provider",
        "region",
    }
)


def add(
    name: str,
    *,
    type: Type | None = None,  # noqa: A002 - what rclone and the command line call it
    cloud: str | None = None,
    auth_url: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    provider: str | None = None,
    key_id: str | None = None,
    secret_file: str | Path | None = None,
    config: str | Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    no_check: bool = False,
    ask: Callable[[str], str] | None = None,
) -> Added:
    """Add a remote store to rclone's configuration, and check it; one that is there already is only checked.

    Promises: only its owner can read the file afterwards, and nothing in it that belongs to another remote, or to one
    of this name that differs, is changed without `force`.

    Args:
        name: of the new remote, or NAME:PATH, where PATH is the container that is checked.
        type: 'swift' with an OpenStack application credential, or 's3'; may be left out for a remote that is there.
        cloud: swift: a cloud of clouds.yaml; default $OS_CLOUD, else the OS_* variables.
        auth_url: swift: the address of Keystone.
        endpoint: s3: the address of the service; default AWS_ENDPOINT_URL.
        region: of the store.
        provider: s3: as rclone names it (AWS, Ceph, Minio, ...), for its peculiarities; default AWS for Amazon's
            endpoint, else Other.
        key_id: the id of the application credential, or the access key.
        secret_file: a file with its secret; default OS_APPLICATION_CREDENTIAL_SECRET or AWS_SECRET_ACCESS_KEY.
        config: rclone's configuration file; default the user's own.
        force: replace a remote of this name that differs.
        dry_run: write nothing and check nothing, tell what would be written.
        no_check: do not check it.
        ask: called with a question where the secret is nowhere else.

    Raises:
        UsageError: something is missing or does not fit, or another remote has the name.
        StoreError: rclone refuses.
    """
    name, _, path = name.partition(":")
    if not _NAME.fullmatch(name):
        raise UsageError(f"remote {name!r}: expected letters, digits and any of _ . + @ -")
    secret = None if secret_file is None else Path(secret_file)
    given = Given(cloud, auth_url, endpoint, region, provider, key_id, secret, ask)
    with _configuration(config) as rclone:
        file = Path(rclone.call("config/paths", "asking for its place")["config"])
        old = _settings(name, rclone)
        if type is not None:
            new = {"type": type, **remote_settings(type, given)}
        elif old is not None:
            new = old
        else:
            raise UsageError(f"remote {name}: is not in {file} yet; say what it is with --type swift or --type s3")
        if old is not None and old != new and not force:
            raise UsageError(_differs(name, old, new, file))
        is_written = old != new and not dry_run
        if is_written:
            _write(name, new, file, rclone)
    checked = None if dry_run or no_check else check(f"{name}:{path}", config=config)
    shown = {key: value if key in _SHOWN else _MASK for key, value in new.items() if key != "type"}
    return Added(name, new["type"], file, shown, is_written, checked)


def check(store: str, *, endpoint: str | None = None, config: str | Path | None = None) -> Checked:
    """Prove each right that publishing needs in a store, leaving nothing behind; see `matinee.store.check.check`.

    Args:
        store: NAME or NAME:PATH of a remote, s3://bucket, or a folder. Without a PATH a container is made for it.
        endpoint: the address of the S3 service for s3://bucket.
        config: rclone's configuration file, for a remote; default the user's own.

    Raises:
        UsageError: it is no STORE, or a word that is neither a remote nor a folder.
        StoreError: rclone is missing, or does not start.
    """
    place = None if config is None else Path(config)
    if _NAME.fullmatch(store) and not Path(store).exists():
        if store not in {remote.name for remote in list(config=config)}:
            raise UsageError(
                f"{store}: is no remote ('matinee store list' lists yours), nor is there such a folder; write "
                f"./{store} for one that is to be made"
            )
        store = f"{store}:"
    if re.fullmatch(r"[^/:]+:", store):
        store = f"{store}matinee-check-{token_hex(4)}"
    with open_store(store, endpoint=endpoint, config=place) as opened:
        return check_open(opened)


def list(*, config: str | Path | None = None) -> tuple[Remote, ...]:  # noqa: A001 - `matinee store list`
    """The remotes of rclone's configuration, by name; no secrets."""
    with _configuration(config) as rclone:
        names: builtins.list[str] = rclone.call("config/listremotes", "listing remotes")["remotes"] or []
        return tuple(_remote(name, _settings(name, rclone) or {}) for name in sorted(names))


def remove(name: str, *, config: str | Path | None = None) -> Remote:
    """Take a remote out of rclone's configuration; what lies in the store stays there.

    Raises:
        UsageError: there is no such remote.
    """
    name = name.removesuffix(":")
    with _configuration(config) as rclone:
        found = _settings(name, rclone)
        if found is None:
            raise UsageError(f"remote {name}: there is none of that name; 'matinee store list' lists yours")
        rclone.call("config/delete", f"removing {name}", name=name)
    return _remote(name, found)


@contextmanager
def _configuration(config: str | Path | None) -> Iterator[Rclone]:
    """An rclone that reads and writes its configuration file."""
    elsewhere = {} if config is None else {"RCLONE_CONFIG": str(Path(config).expanduser().absolute())}
    where = "rclone's configuration" if config is None else str(config)
    with Rclone(elsewhere, user_config=True, where=where) as rclone:
        yield rclone


def _settings(name: str, rclone: Rclone) -> dict[str, str] | None:
    found: dict[str, Any] = rclone.call("config/get", f"reading {name}", name=name)
    return {key: str(value) for key, value in found.items()} if found.get("type") else None


def _remote(name: str, settings: dict[str, str]) -> Remote:
    address = next((settings[key] for key in _ADDRESSES if settings.get(key)), "")
    return Remote(name, settings.get("type", ""), address)


def _differs(name: str, old: dict[str, str], new: dict[str, str], file: Path) -> str:
    differing = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return (
        f"remote {name}: is in {file} already, with another {', '.join(differing)}; choose another name, leave out "
        "--type to use it as it is, or replace it with --force"
    )


def _write(name: str, settings: dict[str, str], file: Path, rclone: Rclone) -> None:
    parameters = {key: value for key, value in settings.items() if key != "type"}
    rclone.call(
        "config/create",
        f"writing {name}",
        name=name,
        type=settings["type"],
        parameters=parameters,
        opt={"obscure": True, "nonInteractive": True},
    )
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        file.chmod(0o600)  # rclone keeps the mode that it finds
