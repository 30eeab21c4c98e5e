"""The user of this machine that Postgres runs as: root has to hand over to another, everybody else stays themselves."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Account", "account_for", "become", "closed_above", "own"]

_ACCOUNTS: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def account_for(folder: Path) -> Account | None:
    """Whom Postgres runs as: None is whoever asks. It refuses to run as root, so root gets another account.

    That is the owner of the folder where it has one already (a volume keeps its owner when it moves to another
    machine), else `postgres` where the machine has such a user, which is there for exactly this, else `nobody`.

    Raises:
        ServiceError: there is no such account.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and (owner := folder.stat().st_uid) != 0:
        try:
            return _account(pwd.getpwuid(owner))
        except KeyError:
            return Account(str(owner), owner, folder.stat().st_gid)
    for name in _ACCOUNTS:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise ServiceError(f"Postgres: does not run as root, and there is no user {' or '.join(_ACCOUNTS)}; add one")


def own(folder: Path, account: Account | None) -> None:
    """What root brought here (a restored copy, say) goes to the account that Postgres runs as."""
    if account is None:
        if folder.stat().st_uid != os.geteuid():
            owner = folder.stat().st_uid
            raise ServiceError(f"{folder}: belongs to user {owner}, not to {os.geteuid()}; run as that user or as root")
        return
    if folder.stat().st_uid == account.uid:
        return
    for place, _, names in os.walk(folder, topdown=False):  # the folder itself last: its owner says that all is done
        for path in (place, *(os.path.join(place, name) for name in names)):  # noqa: PTH118 - os.walk speaks in texts
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def become(account: Account | None) -> None:
    """Turn this process from root into the account, for good; nothing happens for None."""
    if account is not None:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)


def closed_above(path: Path) -> Path | None:
    """The first folder on the way to `path` that only its owner and group may enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
