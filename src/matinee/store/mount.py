"""Show a published version as a read-only folder, and take it away again, by `rclone mount` in the background.

Not rclone's own `--daemon`: its only word about any failure is 'Daemon timed out'. It is started here, with a log
that is quoted when it does not come up.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from matinee.errors import StoreError, UsageError, VersionConflictError
from matinee.processes import end, start_detached
from matinee.schema.layout import MANIFEST
from matinee.store.binary import rclone_path
from matinee.store.failures import failure
from matinee.store.names import resolve
from matinee.store.rclone import child_environment
from matinee.store.records import Mounted
from matinee.store.verify import check_sizes

if TYPE_CHECKING:
    from matinee.store.connection import Store
    from matinee.store.names import Place

__all__ = ["mount", "unmount"]

_POLL_S: Final = 0.05
_UNMOUNT_TIMEOUT_S: Final = 10.0
_LAST_WORDS_CHARACTERS: Final = 400
_KIND: Final = "fuse.rclone"
_LABEL: Final = "matinee:"  # starts the name of the device, so that our mounts are known as ours
_INSTALL: Final = "install it with 'apt-get install fuse3' (or your system's package of that name)"
# A published version never changes, so what the kernel and rclone know of it stays true.
_FLAGS: Final = (
    "--read-only",
    "--ask-password=false",
    "--dir-cache-time=1000h",
    "--attr-timeout=1h",
    "--poll-interval=0",
    "--no-checksum",
    "--log-level=NOTICE",
)


def mount(version: str, directory: Path, store: Store, *, timeout_s: float = 30.0) -> Mounted:
    """Show a version in `directory`, read-only, until `unmount` or the end of the machine; it outlives this process.

    The version is looked up and found complete first: rclone alone would show an empty folder for a mistyped one.
    Needs FUSE: `/dev/fuse`, and `fusermount3` of the package fuse3.

    Args:
        version: LATEST, a data set, an id or its prefix, or dataset@id; a LATEST that moves later changes nothing.
        directory: an empty folder, or one that can be made.
        store: where from.
        timeout_s: how long to wait for the files to show.

    Raises:
        UsageError, VersionNotFoundError, VersionDamagedError: see `matinee.store.rollback`.
        VersionConflictError: the directory is not empty, or something else is mounted there.
        StoreError: FUSE is missing, or rclone does not bring the files up; quotes its log.
    """
    directory = directory.expanduser().absolute()
    fusermount = _fusermount()
    place = resolve(version, store)
    check_sizes(place, store)
    device = f"{_LABEL}{place.dataset}@{place.id}"
    mounted = _mounted(directory)
    if mounted is not None:
        return _already(place, directory, mounted, device)
    _prepare(directory)
    log = _log_path(directory)
    argv: list[str | Path] = [rclone_path(), "mount", store.location.inside(place.path), directory, *_FLAGS]
    if not store.location.user_config:
        argv.append("--config=")
    argv.append(f"--devname={device}")
    with _open_log(log) as output:
        try:
            process = start_detached(argv, environment=child_environment(store.location.environment), output=output)
        except OSError as error:
            raise StoreError(f"{argv[0]}: does not start ({error.strerror})") from None
    try:
        _await_files(process, directory, log, timeout_s)
    except BaseException:
        _take_away(directory, fusermount)
        end(process, patience_s=5.0)
        log.unlink(missing_ok=True)
        raise
    return Mounted(id=place.id, dataset=place.dataset, directory=directory, pid=process.pid, unchanged=False)


def unmount(directory: Path) -> bool:
    """Take a mounted version away; False where nothing is mounted. A mount whose rclone has died goes as well.

    One that is still in use disappears from its folder now, and for its users when they close their files.

    Raises:
        UsageError: what is mounted there is not Matinee's.
        StoreError: FUSE is missing, or the mount does not go away.
    """
    directory = directory.expanduser().absolute()
    mounted = _mounted(directory)
    if mounted is None:
        return False
    kind, device = mounted
    if kind != _KIND or not device.startswith(_LABEL):
        raise UsageError(f"{directory}: what is mounted there is {device} ({kind}), none of Matinee's; left alone")
    said = _take_away(directory, _fusermount())
    if _mounted(directory) is not None:
        raise StoreError(f"{directory}: does not go away ({said}); see who uses it with 'fuser -m {directory}'")
    _log_path(directory).unlink(missing_ok=True)
    return True


def _fusermount() -> str:
    if not Path("/dev/fuse").exists():
        raise StoreError(
            "mount: this machine has no /dev/fuse; in a container pass it in ('--device /dev/fuse'), else load the "
            "kernel's fuse module; or use 'matinee versions pull'"
        )
    found = shutil.which("fusermount3") or shutil.which("fusermount")
    if found is None:
        raise StoreError(f"mount: fusermount3 is not in PATH; {_INSTALL}, or use 'matinee versions pull'")
    return found


def _mounted(directory: Path) -> tuple[str, str] | None:
    """File system and device of what is mounted on a folder.

    Not `os.path.ismount`: that says no where the process behind a mount has died, though the mount is still there.
    """
    wanted = str(_real(directory))
    found = None
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        if _unescaped(before.split(" ")[4]) == wanted:
            kind, device = after.split(" ")[:2]
            found = (kind, _unescaped(device))  # the last one lies on top
    return found


def _real(directory: Path) -> Path:
    """The path as the kernel lists it; the last part is not looked at, as whoever is behind it may be dead."""
    return Path(os.path.realpath(directory.parent)) / directory.name


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _already(place: Place, directory: Path, mounted: tuple[str, str], device: str) -> Mounted:
    if mounted != (_KIND, device):
        raise VersionConflictError(
            f"{directory}: {mounted[1]} ({mounted[0]}) is mounted there, not {place.dataset}@{place.id}; "
            f"'matinee unmount {directory}' first"
        )
    if not _shows_files(directory):
        raise VersionConflictError(
            f"{directory}: is mounted, but rclone no longer answers; 'matinee unmount {directory}' first"
        )
    return Mounted(id=place.id, dataset=place.dataset, directory=directory, pid=_pid_of(directory), unchanged=True)


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise VersionConflictError(f"{directory}: is not empty; a mount would hide what lies there, choose another")
    except OSError as error:
        raise UsageError(f"{directory}: cannot be mounted on ({error.strerror}); choose another folder") from None


def _log_path(directory: Path) -> Path:
    """A file for one mount point, in the user's own state folder: /tmp would let others put something there first."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    name = hashlib.sha256(os.fsencode(_real(directory))).hexdigest()[:16]
    return Path(base) / "matinee" / f"mount-{name}.log"


def _open_log(path: Path) -> IO[bytes]:
    """Open a new log that only this user can read."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb")
    except OSError as error:
        raise failure(error.strerror or str(error), str(path), "opening the log") from None


def _last_words(log: Path) -> str:
    try:
        said = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        said = ""
    return said[-_LAST_WORDS_CHARACTERS:] or "it said nothing"


def _pid_of(directory: Path) -> int:
    """The rclone behind a mount point: the one with the directory among its arguments; 0 where it cannot be seen."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if len(argv) > 3 and argv[1] == b"mount" and argv[3] == os.fsencode(directory):
            return int(folder.name)
    return 0


def _await_files(process: subprocess.Popen[bytes], directory: Path, log: Path, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise StoreError(f"{directory}: rclone mount ended with {process.returncode} ({_last_words(log)})")
        if _mounted(directory) is not None and _shows_files(directory):
            return
        time.sleep(_POLL_S)
    raise StoreError(f"{directory}: no files within {timeout_s:.0f} s ({_last_words(log)})")


def _shows_files(directory: Path) -> bool:
    try:
        return (directory / MANIFEST).is_file()
    except OSError:
        return False


def _take_away(directory: Path, fusermount: str) -> str:
    """Unmount; if it is in use, lazily. What was said, if it did not work."""
    said = ""
    deadline_s = time.monotonic() + _UNMOUNT_TIMEOUT_S
    for flags in ("-u", "-uz"):
        if _mounted(directory) is None:
            return ""
        done = subprocess.run([fusermount, flags, str(directory)], capture_output=True, text=True, check=False)
        said = " ".join(done.stderr.split()) or f"{fusermount} ended with {done.returncode}"
    while _mounted(directory) is not None and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return said
