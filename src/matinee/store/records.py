"""What the functions of this room give back: one frozen record each, ready to be printed or made JSON of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from matinee.schema.certificate import Certificate
    from matinee.schema.manifest import Manifest

__all__ = [
    "Added",
    "Checked",
    "Collected",
    "Incomplete",
    "Mounted",
    "Published",
    "PublishedReport",
    "Pulled",
    "Remote",
    "RolledBack",
    "Shown",
    "Step",
    "StoredVersion",
    "Verified",
]


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` did.

    Attributes:
        id, dataset: of the version.
        location: address of the version's folder in the store, without credentials.
        manifest_sha256: of the bytes of manifest.json, here and in the store.
        files, size_bytes: what the version has, manifest.json and run.json not counted.
        sent_files, sent_bytes: what had to be sent this time; 0 where everything was there already.
        unchanged: the version was complete and LATEST named it before; nothing was done.
        previous: what LATEST named before; empty for a data set's first version.
        latest: LATEST names this version now. False only where another publisher has just moved it on.
    """

    id: str
    dataset: str
    location: str
    manifest_sha256: str
    files: int
    size_bytes: int
    sent_files: int
    sent_bytes: int
    unchanged: bool
    previous: str
    latest: bool


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One complete version in a store.

    Attributes:
        id, dataset: of the version.
        location: address of its folder, without credentials.
        published: when its manifest.json was written.
        latest: LATEST names it.
        files, size_bytes: manifest.json and run.json not counted.
        rows: events in all splits.
        source: catalogue or file name of where it came from.
        note: what is wrong with it at a glance (an unreadable manifest); empty when nothing is.
    """

    id: str
    dataset: str
    location: str
    published: datetime
    latest: bool
    files: int
    size_bytes: int
    rows: int
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """One version with all that is known of it; `certificate` and `run` are None where the store has none."""

    version: StoredVersion
    manifest: Manifest
    certificate: Certificate | None
    run: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Verified:
    """A version whose every byte was read back and is as its manifest says."""

    id: str
    dataset: str
    location: str
    manifest_sha256: str
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """What `pull` did.

    Attributes:
        id, dataset: of the version.
        folder: where it lies now, verified.
        files, size_bytes: manifest.json and run.json not counted.
        fetched_files, fetched_bytes: what had to be fetched this time; 0 where a verified copy was there already.
        unchanged: the folder held this version, verified again; nothing was written.
    """

    id: str
    dataset: str
    folder: Path
    files: int
    size_bytes: int
    fetched_files: int
    fetched_bytes: int
    unchanged: bool


@dataclass(frozen=True, slots=True)
class RolledBack:
    """LATEST of `dataset` names `id` now, and named `previous` before; `unchanged` if they are the same."""

    id: str
    dataset: str
    previous: str
    unchanged: bool


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The remains of a publish that did not finish; `newest` is the time of the last file, None if there is none."""

    id: str
    dataset: str
    location: str
    files: int
    size_bytes: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class PublishedReport:
    """A replay's report in a store.

    Attributes:
        location: of its folder there, without credentials.
        files: names of what lies in it.
        unchanged: it was there already.
    """

    location: str
    files: tuple[str, ...]
    unchanged: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """What `gc` deleted, or would delete with `dry_run`.

    Attributes:
        deleted: versions, the newest first.
        incomplete: remains of publishes that did not finish.
        kept: versions that stay, the newest first.
        freed_bytes: sizes of both together.
        dry_run: nothing was deleted.
    """

    deleted: tuple[StoredVersion, ...]
    incomplete: tuple[Incomplete, ...]
    kept: tuple[StoredVersion, ...]
    freed_bytes: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Mounted:
    """A version shown as a read-only folder by process `pid`; `unchanged` if it was there already."""

    id: str
    dataset: str
    directory: Path
    pid: int
    unchanged: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that `check` tried.

    Attributes:
        name: what, in a word or two.
        result: 'ok'; 'failed'; 'not tried', as something before it failed; 'not offered', and Matinee does without.
        detail: what was seen, or what is wrong and what to do about it.
    """

    name: str
    result: Literal["ok", "failed", "not tried", "not offered"]
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found.

    Attributes:
        store: its address, without credentials.
        kind: what answers there: 'S3', 'Swift', 'Local', ... as rclone calls it; empty where nothing does.
        steps: in the order in which they were tried.
        ok: none has failed.
    """

    store: str
    kind: str
    steps: tuple[Step, ...]
    ok: bool


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote of rclone's configuration: its name, its type, and the address in it, if it has one; no secrets."""

    name: str
    type: str
    address: str


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` did.

    Attributes:
        name, type: of the remote.
        config: rclone's configuration file.
        settings: of the remote, each secret replaced by '***'.
        written: it was written just now; False where it was there already, and with `dry_run`.
        checked: what the check found; None without one.
    """

    name: str
    type: str
    config: Path
    settings: dict[str, str]
    written: bool
    checked: Checked | None
