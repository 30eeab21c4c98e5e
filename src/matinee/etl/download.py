"""How fetched bytes get their final name: under a lock, checked and flushed first, and never over a foreign file.

A folder of archives has a hidden folder `.downloads`. There, each address has a lock, a partial file that is taken up
again, and once it has landed a record of what it gave. Only complete, checked files stand beside it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import DiskFullError, SourceChecksumError, SourceDownloadError
from matinee.etl.archive import looks_like_html
from matinee.etl.digest import file_digests, remember
from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matinee.schema.progress import Progress

__all__ = ["Download", "Record", "Slot", "Sums", "check_data", "in_place", "land", "write_json", "writing_to"]

_FOLDER: Final = ".downloads"
_HEAD_BYTES: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Sums:
    """Published checksums in lower-case hex; None where there is none."""

    sha256: str | None = None
    md5: str | None = None

    @property
    def published(self) -> dict[str, str]:
        """Algorithm -> checksum, of those that are known."""
        known = {"sha256": self.sha256, "md5": self.md5}
        return {algorithm: value for algorithm, value in known.items() if value}

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What to compute: SHA-256, which names the bytes everywhere, and what else is published."""
        return ("sha256", "md5") if self.md5 else ("sha256",)

    def check(self, what: str, digests: Mapping[str, str], advice: str) -> None:
        """Raise SourceChecksumError, which names `what`, both values and `advice`, where a sum is not as published."""
        for algorithm, expected in self.published.items():
            if digests[algorithm] != expected:
                shown = {"sha256": "SHA-256", "md5": "MD5"}[algorithm]
                raise SourceChecksumError(f"{what} has {shown} {digests[algorithm]}, expected {expected}; {advice}")


@dataclass(frozen=True, slots=True)
class Download:
    """A fetched file in its place.

    Attributes:
        path, sha256, size_bytes: of the file.
        fetched: False where it was there already.
    """

    path: Path
    sha256: str
    size_bytes: int
    fetched: bool


@dataclass(frozen=True, slots=True)
class Record:
    """What an address gave when it was last fetched.

    Attributes:
        name: the file's name beside `.downloads`.
        sha256: of the file.
        etag, last_modified: what the address said of its state; empty where nothing.
    """

    name: str
    sha256: str
    etag: str = ""
    last_modified: str = ""


class Slot:
    """One address's place in a folder's `.downloads`: lock, partial file, its state, and record.

    Files are called by a hash of the address, so that no name from a server decides where anything is written
    before it has been made safe, and no secret of a signed address stands in a name.
    """

    def __init__(self, folder: Path, address: str) -> None:
        key = hashlib.sha256(address.encode()).hexdigest()[:24]
        self.folder = folder
        self.part = folder / _FOLDER / f"{key}.part"
        self.state = folder / _FOLDER / f"{key}.state.json"
        self.scratch = folder / _FOLDER / f"{key}.scratch"
        self._record = folder / _FOLDER / f"{key}.json"
        self._lock = folder / _FOLDER / f"{key}.lock"

    @contextlib.contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Keep every other process (and thread) off this address; the kernel frees the lock of a killed one."""
        with writing_to(self.folder):
            self.part.parent.mkdir(parents=True, exist_ok=True)
            handle = self._acquire(progress)
        try:
            yield
        finally:
            # Removed while it is held: whoever waits for it sees that the name has gone, and makes a new one.
            self._lock.unlink(missing_ok=True)
            os.close(handle)

    def record(self) -> Record | None:
        """What this address gave before; None where nothing, or where the record cannot be read."""
        try:
            return Record(**json.loads(self._record.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write_record(self, record: Record) -> None:
        """Replace the record."""
        write_json(self._record, asdict(record))

    def clear(self) -> None:
        """Remove the partial file and its state."""
        self.part.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def check_free(self, name: str) -> None:
        """Raise SourceDownloadError where a file of that name is there that this address did not give."""
        record = self.record()
        if (record is None or record.name != name) and (self.folder / name).exists():
            raise SourceDownloadError(
                f"{self.folder / name} is there already and came from elsewhere; move it away, or choose another --out"
            )

    def _acquire(self, progress: Progress) -> int:
        told = False
        while True:
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    progress.say(f"another process fetches the same into {self.folder}; waiting for it")
                    told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), self._lock.stat()):
                    return handle
            os.close(handle)


def in_place(path: Path, sums: Sums, *, cache: Path | None, progress: Progress) -> Download | None:
    """The file at `path` where it is there and has the published checksums; None where it is not there.

    Raises:
        SourceChecksumError: it is there with others. It is left alone: it may be the only copy of something.
    """
    if not path.is_file():
        return None
    digests = file_digests(path, sums.algorithms, cache=cache, progress=progress)
    sums.check(str(path), digests, "delete it, or move it away, and run again")
    return Download(path, digests["sha256"], path.stat().st_size, fetched=False)


def check_data(slot: Slot, name: str) -> None:
    """Raise SourceDownloadError, and drop the partial file, where an address gave nothing, or a page for people."""
    with slot.part.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head or looks_like_html(head):
        slot.clear()
        answer = "a web page (a login, a notice, a viewer?)" if head else "no bytes at all"
        raise SourceDownloadError(
            f"{name}: the address gave {answer}, expected data; take the direct link to the file "
            f"(Box: .../shared/static/..., Drive: .../uc?export=download&id=...)"
        )


def land(slot: Slot, record: Record, digests: Mapping[str, str], sums: Sums, cache: Path | None) -> Download:
    """Give the complete partial file its name, once it is what it should be and safe on the disk.

    Raises:
        SourceChecksumError: it has not the published checksums; the partial file is removed, nothing else.
        SourceDownloadError: a foreign file has its name.
    """
    path = slot.folder / record.name
    size_bytes = slot.part.stat().st_size
    try:
        sums.check(f"{record.name}, as fetched,", digests, "it was discarded; run again, or tell the mirror's keeper")
    except SourceChecksumError:
        slot.clear()
        raise
    slot.check_free(record.name)
    with slot.part.open("rb") as file:
        os.fsync(file.fileno())
    # The record comes first: killed in between, the next run finds that the name is this address's to replace.
    slot.write_record(record)
    slot.part.replace(path)
    slot.state.unlink(missing_ok=True)
    _fsync_folder(slot.folder)
    remember(path, dict(digests), cache=cache)
    return Download(path, digests["sha256"], size_bytes, fetched=True)


def write_json(path: Path, plain: Mapping[str, Any]) -> None:
    """Replace a small file as a whole."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    temporary.replace(path)


@contextlib.contextmanager
def writing_to(folder: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Tell of a full disk, or one that cannot be written to, in a user's words."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            needed = f"{show_size(needed_bytes)} are needed" if needed_bytes else "more is needed"
            raise DiskFullError(
                f"{folder}: no space left, {needed}; make room and run again, what was fetched is kept"
            ) from None
        raise SourceDownloadError(
            f"{folder}: cannot be written to ({error.strerror or error}); choose another --out"
        ) from None


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
