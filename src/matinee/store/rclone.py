"""One rclone that serves a whole session: started once, spoken to over a private socket, gone when we are.

`rclone rcd` listens on an abstract Unix socket: nothing of it lies in a file system, so nothing stays behind however
this process ends. Name and password are random; neither they nor a store's keys appear in an argument.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import httpx

from matinee.errors import StoreError
from matinee.processes import end, start_tied
from matinee.store.binary import rclone_path
from matinee.store.failures import failure, is_missing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["Entry", "MissingError", "Rclone", "child_environment"]

_START_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.01
_LAST_WORDS_BYTES: Final = 400
_GROUP: Final = "matinee"  # every call's; so all that runs can be counted, and stopped, together
_USER: Final = "matinee"
# What a user may have set for rclone by variable and would change what these calls mean. Their remotes, keys and
# proxies pass.
_DROPPED: Final = (
    "RCLONE_RC",
    "RCLONE_DRY_RUN",
    "RCLONE_INTERACTIVE",
    "RCLONE_FILTER",
    "RCLONE_INCLUDE",
    "RCLONE_EXCLUDE",
    "RCLONE_FILES_FROM",
    "RCLONE_MIN_",
    "RCLONE_MAX_",
    "RCLONE_IGNORE",
    "RCLONE_LOG",
    "RCLONE_VERBOSE",
    "RCLONE_METADATA",
    "RCLONE_BACKUP_DIR",
    "RCLONE_SUFFIX",
)
_FLAGS: Final = (
    "--ask-password=false",
    "--inplace=false",
    "--log-level=ERROR",
    "--retries=1",
    "--low-level-retries=3",
    "--contimeout=10s",
    "--timeout=60s",
    "--rc-serve",  # ranges of files
)


class MissingError(StoreError):
    """The file or folder asked for is not there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder in a listing; `path` is relative to what was listed, `modified` None where not asked for."""

    path: str
    size: int
    is_folder: bool
    modified: datetime | None


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for rclone: without options that would change its meaning, with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    return kept | dict(extra)


class Rclone:
    """A running `rclone rcd` and its calls; safe to use from several threads at once.

    Args:
        environment: variables that define remotes and hold their secrets.
        user_config: read the user's configuration file; otherwise none is read.
        where: the store's address for people, in errors.

    Raises:
        StoreError: rclone is not there, or does not start.
    """

    def __init__(self, environment: Mapping[str, str], *, user_config: bool, where: str) -> None:
        self._where = where
        self._stopped = threading.Event()
        self._password = secrets.token_urlsafe(32)
        name = f"matinee-rclone-{secrets.token_hex(16)}"
        self._socket = f"\0{name}"
        # A file without a name: rclone's own words, in case it ends before it answers.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        argv: list[str | Path] = [rclone_path(), "rcd", f"--rc-addr=unix://@{name}", *_FLAGS]
        if not user_config:
            argv.append("--config=")
        extra = {**environment, "RCLONE_RC_USER": _USER, "RCLONE_RC_PASS": self._password}
        try:
            self._process = start_tied(argv, environment=child_environment(extra), output=self._log)
        except OSError as error:
            self._log.close()
            raise StoreError(f"{argv[0]}: does not start ({error.strerror})") from None
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=self._socket, limits=httpx.Limits(max_connections=None)),
            auth=(_USER, self._password),
            base_url="http://rclone",
            timeout=None,  # noqa: S113 - a call lasts as long as its transfer; rclone has its own timeouts towards the store
        )
        try:
            self._await_answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """The same."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End rclone and whatever it still does; safe to call twice."""
        self._http.close()
        end(self._process, patience_s=2.0)
        self._log.close()

    def entries(self, fs: str, path: str, *, recurse: bool = False, times: bool = False) -> tuple[Entry, ...]:
        """What lies below `path`; nothing where there is no such folder. On S3 times cost a request a file."""
        options = {"recurse": recurse, "noMimeType": True, "noModTime": not times}
        try:
            found = self.call("operations/list", f"listing {path}".strip(), fs=fs, remote=path, opt=options)
        except MissingError:
            return ()
        skip = len(path) + 1 if path else 0
        return tuple(_entry(item, skip) for item in found["list"] or ())

    def stat(self, fs: str, path: str) -> Entry | None:
        """One file, or None."""
        try:
            found = self.call("operations/stat", f"looking for {path}", fs=fs, remote=path)
        except MissingError:
            return None
        return _entry(found["item"], 0) if found["item"] else None

    def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        *,
        partial: str,
        look_first: bool = False,
        only_new: bool = False,
    ) -> None:
        """Copy one file (fs, path) to another place, whatever lies there.

        Backends that can rename write under a name that ends in `partial` first; the others show an object when it
        is whole. With `look_first` rclone knows what it replaces, and takes along what belongs to that: on Swift the
        segments of a large file. With `only_new` an S3 is told to refuse where something lies there.
        """
        # The bytes are compared by SHA-256 after this, so rclone needn't check afterwards, nor look before for that.
        config: dict[str, Any] = {
            "NoCheckDest": not look_first,
            "IgnoreChecksum": True,
            "IgnoreTimes": True,
            "PartialSuffix": partial,
        }
        if only_new:
            config["UploadHeaders"] = [{"Key": "If-None-Match", "Value": "*"}]
        self.call(
            "operations/copyfile",
            f"copying {source[1]}",
            srcFs=source[0],
            srcRemote=source[1],
            dstFs=target[0],
            dstRemote=target[1],
            _config=config,
        )

    def sha256(self, fs: str, path: str) -> str:
        """SHA-256 of a file's bytes, read from the store for this; never a checksum that the store remembers."""
        found = self.call(
            "operations/hashsumfile", f"reading back {path}", fs=fs, remote=path, hashType="sha256", download=True
        )
        return str(found["hash"])

    def read_part(self, fs: str, path: str, first: int, size_bytes: int) -> bytes:
        """Some bytes of a file, asked for as a range."""
        doing = f"reading a part of {path}"
        asked = {"Range": f"bytes={first}-{first + size_bytes - 1}"}
        try:
            answer = self._http.get(f"/[{fs}]/{quote(path)}", headers=asked)
        except (httpx.TransportError, RuntimeError) as error:
            raise StoreError(f"{self._where}: broken off while {doing} ({error!r})") from None
        if not answer.is_success:
            raise failure(answer.text, self._where, doing)
        return answer.content

    def has_folder(self, fs: str) -> bool:
        """Whether a folder, bucket or container is there."""
        try:
            self.call("operations/list", "listing", fs=fs, remote="", opt={"noMimeType": True, "noModTime": True})
        except MissingError:
            return False
        return True

    def remove_empty_folder(self, fs: str) -> None:
        """Remove a folder, bucket or container with nothing in it; one that is gone already is fine."""
        with contextlib.suppress(MissingError):
            self.call("operations/rmdir", "removing it", fs=fs, remote="")

    def describe(self, fs: str) -> tuple[str, str, str]:
        """What stands behind a remote, aliases followed: its kind ('Swift', 'S3', ...), its name, its root."""
        found = self.call("operations/fsinfo", "reaching it", fs=fs)
        return str(found["String"]).partition(" ")[0], str(found["Name"]).partition("{")[0], str(found["Root"])

    def delete_file(self, fs: str, path: str) -> None:
        """Delete one file; one that is gone already is fine."""
        with contextlib.suppress(MissingError):
            self.call("operations/deletefile", f"deleting {path}", fs=fs, remote=path)

    def delete_folder(self, fs: str, path: str) -> None:
        """Delete a folder and all in it; one that is gone already is fine."""
        with contextlib.suppress(MissingError):
            self.call("operations/purge", f"deleting {path}", fs=fs, remote=path)

    def drop_unfinished_uploads(self, fs: str) -> None:
        """Drop the parts of multipart uploads below `fs` (an S3 path) that were never completed."""
        with contextlib.suppress(MissingError):
            self.call("backend/command", "cleaning up", command="cleanup", fs=fs, opt={"max-age": "0s"})

    def moved_bytes(self) -> int:
        """Bytes that all calls of this session have read or written so far."""
        return int(self.call("core/stats", "counting", group=_GROUP).get("bytes", 0))

    def stop(self) -> None:
        """Break off every call that is under way; from now on each fails at once."""
        self._stopped.set()
        with contextlib.suppress(httpx.TransportError, RuntimeError):
            self._http.post("/job/stopgroup", json={"group": _GROUP})

    def pause(self, seconds: float) -> None:
        """Do nothing for a while, or until `stop`."""
        self._stopped.wait(seconds)

    def resume(self) -> None:
        """Take calls again."""
        self._stopped.clear()

    def call(self, command: str, doing: str, /, **arguments: Any) -> dict[str, Any]:
        """One call; `doing` says in a few words what for.

        Raises:
            StoreError, DiskFullError: see `failures`; `MissingError` where the thing is not there.
        """
        if self._stopped.is_set():
            raise StoreError(f"{self._where}: broken off while {doing}")
        try:
            answer = self._http.post(f"/{command}", json={**arguments, "_group": _GROUP})
        except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: closed by another thread meanwhile
            raise StoreError(f"{self._where}: rclone ended while {doing} ({self._last_words() or error!r})") from None
        plain: dict[str, Any] = answer.json()
        if answer.is_success:
            return plain
        text = str(plain.get("error", answer.reason_phrase))
        if is_missing(text):
            raise MissingError(f"{self._where}: not there while {doing} ({text})")
        raise failure(text, self._where, doing)

    def _await_answer(self) -> None:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            # Knocked at with a socket of our own: httpx leaves one open each time it is refused.
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                if door.connect_ex(self._socket) == 0:
                    self.call("rc/noop", "starting")
                    return
            time.sleep(_POLL_S)
        raise StoreError(f"{self._where}: rclone does not start ({self._last_words() or 'it said nothing'})")

    def _last_words(self) -> str:
        """The end of what rclone printed, on one line."""
        try:
            # Not seek and read: rclone shares the place in this file, and would write on from there.
            size_bytes = os.fstat(self._log.fileno()).st_size
            said = os.pread(self._log.fileno(), _LAST_WORDS_BYTES, max(0, size_bytes - _LAST_WORDS_BYTES))
        except (OSError, ValueError):
            return ""  # closed
        return " ".join(said.decode(errors="replace").split())


def _entry(item: Mapping[str, Any], skip: int) -> Entry:
    return Entry(
        path=str(item["Path"])[skip:],
        size=int(item["Size"]),
        is_folder=bool(item["IsDir"]),
        modified=datetime.fromisoformat(item["ModTime"]) if item.get("ModTime") else None,
    )
