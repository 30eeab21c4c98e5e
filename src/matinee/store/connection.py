"""An open store: one rclone behind it, and the few things that all else here is made of, by path inside the store."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from matinee.errors import DiskFullError, StoreDeniedError, StoreError, VersionNotFoundError
from matinee.store.failures import failure
from matinee.store.location import Location, parse_location
from matinee.store.rclone import MissingError, Rclone
from matinee.store.segments import Backend, drop_orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from matinee.store.rclone import Entry

__all__ = ["PARTIAL", "Store", "open_store"]

PARTIAL: Final = ".partial"  # how the name of a file ends while it is being written


def open_store(
    to: str,
    *,
    endpoint: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    region: str | None = None,
    config: Path | None = None,
) -> Store:
    """Open a store; close it, or use it in a `with` block. No byte of the store is looked at yet.

    Args:
        to: a folder, an rclone remote:path, or s3://bucket[/prefix].
        endpoint: address of an s3:// store; default AWS_ENDPOINT_URL.
        access_key: of an s3:// store; default AWS_ACCESS_KEY_ID.
        secret_key: of an s3:// store; default AWS_SECRET_ACCESS_KEY.
        region: of an s3:// store; default AWS_REGION, else us-east-1.
        config: rclone's configuration file, for a remote; default the user's own.

    Raises:
        UsageError: `to` is none of these, or endpoint or keys are missing.
        StoreError: rclone is missing or does not start.
    """
    location = parse_location(
        to, endpoint=endpoint, access_key=access_key, secret_key=secret_key, region=region, config=config
    )
    return Store(location)


class Store:
    """An open store. All paths are relative to its root, with '/'; safe to use from several threads at once."""

    def __init__(self, location: Location) -> None:
        self.location = location
        # Our own: two publishers of one version never write into the same unfinished file.
        self._partial = f".{secrets.token_hex(3)}{PARTIAL}"
        self._rclone = Rclone(location.environment, user_config=location.user_config, where=location.display)

    def __enter__(self) -> Self:
        """The same."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End rclone; safe to call twice."""
        self._rclone.close()

    @functools.cached_property
    def backend(self) -> Backend:
        """What stands behind it; for a remote rclone is asked, once, and may have to reach the store for that."""
        if self.location.folder is not None:
            return Backend("Local", "", str(self.location.folder))
        return Backend(*self._rclone.describe(self.location.root))

    @property
    def leaves_partials(self) -> bool:
        """Whether a transfer that is broken off may leave a file with another name; on S3 and Swift it leaves none."""
        return self.backend.kind not in {"S3", "Swift"}

    def show(self, path: str = "") -> str:
        """The address of something inside, for people."""
        return self.location.show(path)

    def entries(self, path: str, *, recurse: bool = False, times: bool = False) -> tuple[Entry, ...]:
        """Files and folders below `path`, their paths relative to it; nothing where there is no such folder."""
        return self._rclone.entries(self.location.root, path, recurse=recurse, times=times)

    def files(self, path: str, *, times: bool = False) -> dict[str, Entry]:
        """All files below `path`, however deep, by their path relative to it; with their times where asked for."""
        return {entry.path: entry for entry in self.entries(path, recurse=True, times=times) if not entry.is_folder}

    def folders(self, path: str) -> tuple[str, ...]:
        """Names of the folders directly in `path`, sorted."""
        return tuple(sorted(entry.path for entry in self.entries(path) if entry.is_folder))

    def stat(self, path: str) -> Entry | None:
        """One file with its time, or None."""
        entry = self._rclone.stat(self.location.root, path)
        return None if entry is None or entry.is_folder else entry

    def read(self, path: str) -> bytes | None:
        """A small file's bytes, or None where there is none."""
        with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
            try:
                self.fetch(path, Path(folder), "content")
            except MissingError:
                return None
            return (Path(folder) / "content").read_bytes()

    def write(self, path: str, content: bytes) -> None:
        """Write a small file as a whole, replacing what was there; its time in the store is now.

        A reader sees the old bytes or the new ones. On a folder this is a rename; on S3 and its like it is one PUT; on
        other remotes it is what the remote offers.
        """
        if self.location.folder is not None:
            _write_file(self.location.folder / path, content, self._partial)
            return
        with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
            (Path(folder) / "content").write_bytes(content)
            self.send(Path(folder), "content", path)

    def send(self, folder: Path, name: str, path: str) -> None:
        """Copy `folder/name` of this machine to `path`."""
        source = (str(folder.absolute()), name)
        # A remote may be a Swift, where a file that is replaced blindly leaves its segments behind.
        look_first = self.location.kind == "remote"
        self._rclone.copy(source, (self.location.root, path), partial=self._partial, look_first=look_first)

    def send_new(self, folder: Path, name: str, path: str) -> None:
        """The same on an S3, refused by the store where something lies at `path`."""
        source = (str(folder.absolute()), name)
        self._rclone.copy(source, (self.location.root, path), partial=self._partial, only_new=True)

    def fetch(self, path: str, folder: Path, name: str) -> None:
        """Copy `path` to `folder/name` of this machine."""
        target = (str(folder.absolute()), name)
        self._rclone.copy((self.location.root, path), target, partial=self._partial)

    def sha256(self, path: str) -> str:
        """SHA-256 of a file's bytes, read back from the store for this."""
        return self._rclone.sha256(self.location.root, path)

    def read_part(self, path: str, first: int, size_bytes: int) -> bytes:
        """Some bytes of a file, from the middle of it."""
        return self._rclone.read_part(self.location.root, path, first, size_bytes)

    def is_there(self) -> bool:
        """Whether the folder, bucket or container that it lies in exists."""
        return self._rclone.has_folder(self.location.container)

    def remove_empty(self) -> None:
        """Remove the folder, bucket or container that it lies in; there must be nothing in it."""
        self._rclone.remove_empty_folder(self.location.container)

    def delete_file(self, path: str) -> None:
        """Delete one file; one that is gone already is fine."""
        self._rclone.delete_file(self.location.root, path)

    def delete_folder(self, path: str) -> None:
        """Delete a folder and all in it; one that is gone already is fine."""
        self._rclone.delete_folder(self.location.root, path)

    def drop_unfinished_uploads(self, path: str) -> None:
        """Drop what uploads below `path` left behind when they were broken off: parts on S3, segments on Swift.

        Do it only where no complete version is at stake: an upload at work there fails, and has to be done again.
        """
        if self.backend.kind == "S3":
            self._rclone.drop_unfinished_uploads(self.location.inside(path))
        elif self.backend.kind == "Swift":
            drop_orphans(self.backend, path, self._rclone)

    def pause(self, seconds: float) -> None:
        """Do nothing for a while, or until calls are broken off."""
        self._rclone.pause(seconds)

    def moved_bytes(self) -> int:
        """Bytes that have been read from or written to the store so far."""
        return self._rclone.moved_bytes()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Break off every call that is under way, and let new ones fail until the block ends."""
        self._rclone.stop()
        try:
            yield
        finally:
            self._rclone.resume()

    @contextlib.contextmanager
    def lock(self, path: str, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Keep other Matinees of this machine, or of its network folder, out of a folder of a folder store.

        The folder is made if it is missing, and locked itself: no file is left behind, and the lock goes with the
        process. On S3 and other remotes nothing is locked: what is written there is made to bear a second writer.

        Args:
            path: the folder inside the store.
            waiting: called once when another holds the lock.
        """
        if self.location.folder is None:
            yield
            return
        handle = _locked(self.location.folder / path, waiting)
        try:
            yield
        finally:
            os.close(handle)

    def required(self, path: str, what: str) -> bytes:
        """A small file's bytes.

        Raises:
            VersionNotFoundError: it is not there; `what` says what that means and what to do.
        """
        content = self.read(path)
        if content is None:
            raise VersionNotFoundError(f"{self.show(path)}: not there; {what}")
        return content


def _write_file(path: Path, content: bytes, partial: str) -> None:
    """Write beside and rename, synced to the disk."""
    beside = path.with_name(path.name + partial)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise failure(error.strerror or str(error), str(path), "writing") from None


def _locked(folder: Path, waiting: Callable[[], None] | None) -> int:
    """A handle that holds the lock of a folder that is still there."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError as error:
            raise StoreDeniedError(f"{folder}: {error.strerror}; check who owns it") from None
        except OSError as error:
            raise _not_a_folder(folder, error) from None
        try:
            _flock(handle, waiting)
            if _is_still(folder, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # deleted while we waited: what was locked is no longer what lies there


def _not_a_folder(folder: Path, error: OSError) -> Exception:
    text = error.strerror or str(error)
    mapped = failure(text, str(folder), "opening the folder")
    return mapped if isinstance(mapped, DiskFullError) else StoreError(f"{folder}: cannot be a store's folder ({text})")


def _flock(handle: int, waiting: Callable[[], None] | None) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting is not None:
            waiting()
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return  # a file system without locks: two publishers then meet as they do on S3


def _is_still(folder: Path, handle: int) -> bool:
    try:
        there = folder.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
