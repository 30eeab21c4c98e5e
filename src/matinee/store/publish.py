"""Publish a version: every file sent and read back, then the manifest, then LATEST; in this order, whatever happens.

A reader who follows LATEST, or takes a folder with a manifest.json, finds a complete version at every moment. Run
again after any interruption, it sends only what is missing or different.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.errors import StoreError, StoreUnreachableError, VersionConflictError, VersionDamagedError
from matinee.schema.layout import LATEST, MANIFEST, RUN
from matinee.schema.manifest import FileEntry, Manifest
from matinee.schema.progress import Progress, Silent
from matinee.sizes import show_size
from matinee.store.connection import PARTIAL, Store
from matinee.store.names import Place, check_paths, parse_manifest, read_latest
from matinee.store.parallel import on_each
from matinee.store.rclone import MissingError
from matinee.store.records import Published

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.store.rclone import Entry

__all__ = ["point_latest", "publish"]

_ATTEMPTS: Final = 3  # a file; a transfer may break off because another publisher of this version has cleaned up
_PAUSES_S: Final = (2.0, 8.0)  # before a file is tried again at a store that did not answer


def publish(folder: Path, store: Store, *, recheck: bool = False, progress: Progress | None = None) -> Published:
    """Publish the version in `folder`, verify it in the store, and make it the latest.

    Promises: nothing in the store is overwritten or deleted before every file of this version was read back from the
    store with the SHA-256 of its manifest; `manifest.json` appears after that, and `LATEST` changes last. A version
    that is there already is left alone, and LATEST is set to it.

    Admits: when it is broken off, files without a manifest stay in the store until it is run again or `gc` takes them.
    Two publishers at once, of one version or of two, both succeed; LATEST then names one of the versions.

    Args:
        folder: a local version, as transform or pull left it.
        store: where to.
        recheck: read back a complete version too, and send again what is not right; mends a damaged version.
        progress: told of the bytes sent and read back.

    Raises:
        VersionNotFoundError, VersionDamagedError: `folder` holds no complete version, or not the one its manifest says.
        VersionConflictError: the store has other bytes under the same id, in a complete version.
        DiskFullError, StoreDeniedError, StoreUnreachableError, StoreError: the store refused or failed.
    """
    publisher = _Publisher(folder, store, progress or Silent())
    place = publisher.place
    waiting = f"{store.show(place.path)}: another publisher is at work; waiting for it"
    with store.lock(place.path, waiting=lambda: publisher.progress.say(waiting)):
        sent = publisher.complete(recheck=recheck)
    with store.lock(place.dataset):
        previous = read_latest_or_none(place.dataset, store)
        if previous != place.id:
            point_latest(place, store)
        latest = read_latest_or_none(place.dataset, store) == place.id
        _sweep_dataset(place.dataset, store)
    manifest = publisher.manifest
    return Published(
        id=place.id,
        dataset=place.dataset,
        location=store.show(place.path),
        manifest_sha256=hashlib.sha256(publisher.content).hexdigest(),
        files=len(manifest.files),
        size_bytes=manifest.size,
        sent_files=len(sent),
        sent_bytes=sum(entry.size for entry in sent),
        unchanged=not publisher.changed and previous == place.id,
        previous=previous or "",
        latest=latest,
    )


def point_latest(place: Place, store: Store) -> None:
    """Make LATEST name a version, by replacing one small object."""
    store.write(place.latest, f"{place.id}\n".encode())


def read_latest_or_none(dataset: str, store: Store) -> str | None:
    """The id in LATEST, or None if there is none or it is damaged: it is about to be replaced."""
    try:
        return read_latest(dataset, store) or None
    except VersionDamagedError:
        return None


@dataclass(frozen=True, slots=True)
class _Task:
    """A file to be brought to the store, or only read back where one of the right size lies there."""

    entry: FileEntry
    is_there: bool


class _Publisher:
    """One local version on its way into one store."""

    def __init__(self, folder: Path, store: Store, progress: Progress) -> None:
        self.folder = folder
        self.store = store
        self.progress = progress
        self.manifest = Manifest.read(folder)
        check_paths(self.manifest, str(folder / MANIFEST))
        self.content = (folder / MANIFEST).read_bytes()
        self.place = Place(self.manifest.name, self.manifest.id)
        self.changed = False  # whether anything was written or deleted

    def complete(self, *, recheck: bool) -> list[FileEntry]:
        """Make the version complete in the store; the files that had to be sent for it."""
        there = self.store.files(self.place.path)
        stored = self.store.read(self.place.file(MANIFEST))  # whatever the listing says: on Swift it may lag behind
        if stored is None and there:
            self.store.drop_unfinished_uploads(self.place.path)
        trusted = stored == self.content and not recheck
        tasks = self._tasks(there, trusted=trusted)
        if stored is not None and stored != self.content:
            self._check_conflict(stored, there)
        sent: list[FileEntry] = []
        if tasks:
            self._send_run()
            sent = self._transfer(tasks)
        if stored != self.content:
            self._write_manifest()
        self._sweep(there)
        return sent

    def _tasks(self, there: dict[str, Entry], *, trusted: bool) -> list[_Task]:
        """What is to be done, the largest first, so that no large one is left over at the end."""
        tasks = []
        for entry in self.manifest.files:
            found = there.get(entry.path)
            is_there = found is not None and found.size == entry.size
            if not (is_there and trusted):
                tasks.append(_Task(entry, is_there))
        return sorted(tasks, key=lambda task: task.entry.size, reverse=True)

    def _check_conflict(self, stored: bytes, there: dict[str, Entry]) -> None:
        """Raise where the store's other manifest is one of a version that is really there.

        A manifest that cannot be read, or that its own files contradict, is damage: it is written anew.
        """
        try:
            other = parse_manifest(stored, self.place, self.store)
        except VersionDamagedError:
            return
        ours = {entry.path: entry for entry in self.manifest.files}
        differing = [entry for entry in other.files if ours.get(entry.path) != entry]
        differing_paths = [entry.path for entry in differing] or ["the manifest itself"]
        has_them = all(
            entry.path in there and self.store.sha256(self.place.file(entry.path)) == entry.sha256
            for entry in differing
        )
        if has_them:
            raise VersionConflictError(
                f"{self.store.show(self.place.path)}: is complete with other bytes under the same id, for example "
                f"{', '.join(differing_paths[:3])} (written by other library versions?); a published version is never "
                "changed: use it as it is ('matinee versions pull'), or load to another store"
            )

    def _send_run(self) -> None:
        # First, and with the time of now: by it gc knows how old the remains of a broken-off publish are.
        run = self.folder / RUN
        if run.is_file():
            self.store.write(self.place.file(RUN), run.read_bytes())
            self.changed = True

    def _transfer(self, tasks: list[_Task]) -> list[FileEntry]:
        total_bytes = sum(task.entry.size * (1 if task.is_there else 2) for task in tasks)
        self.progress.start("send and read back", total_bytes, "bytes")
        self.changed = True
        sent = [entry for entry in on_each(tasks, self._bring, self.store, self.progress) if entry is not None]
        self.progress.finish(f"{len(sent)} of {len(self.manifest.files)} files sent, all {len(tasks)} read back")
        return sent

    def _bring(self, task: _Task) -> FileEntry | None:
        """Send one file until the store gives it back right; None where it did so at once."""
        entry, path = task.entry, self.place.file(task.entry.path)
        found, is_sent = "", False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if attempt > 1 or not task.is_there:
                    self._check_local(entry)
                    self.store.send(self.folder, entry.path, path)
                    is_sent = True
                found = self.store.sha256(path)
            except MissingError:
                if attempt == _ATTEMPTS:
                    raise
                continue  # what was half sent has been taken away by another publisher of this version
            except StoreUnreachableError:
                if attempt == _ATTEMPTS:
                    raise
                self.store.pause(_PAUSES_S[attempt - 1])  # it may be starting again
                continue
            if found == entry.sha256:
                return entry if is_sent else None
            self._check_local(entry, content=True)
        raise StoreError(
            f"{self.store.show(path)}: reads back with SHA-256 {found}, expected {entry.sha256}, after {_ATTEMPTS} "
            "attempts; nothing was published, look after this store"
        )

    def _check_local(self, entry: FileEntry, *, content: bool = False) -> None:
        """Raise where the local file is not what the manifest says; its content only once there is a doubt."""
        local = self.folder / entry.path
        found = f"{local.stat().st_size} bytes" if local.is_file() else "nothing"
        expected = f"{entry.size} bytes"
        if content and found == expected:
            with local.open("rb") as file:
                found, expected = hashlib.file_digest(file, "sha256").hexdigest(), entry.sha256
        if found != expected:
            raise VersionDamagedError(f"{local}: {found}, expected {expected} as in {MANIFEST}; transform again")

    def _write_manifest(self) -> None:
        path = self.place.file(MANIFEST)
        self.changed = True
        self.store.write(path, self.content)
        found, expected = self.store.sha256(path), hashlib.sha256(self.content).hexdigest()
        if found != expected:
            self.store.delete_file(path)
            raise StoreError(
                f"{self.store.show(path)}: reads back with SHA-256 {found}, expected {expected}; nothing was "
                "published, run again or look after this store"
            )

    def _sweep(self, before: dict[str, Entry]) -> None:
        """Delete what lies in the version's folder and does not belong there: remains of broken-off publishes."""
        own = {MANIFEST, RUN, *(entry.path for entry in self.manifest.files)}
        # Failed attempts of this very call may have left something, too.
        look_again = self.changed and self.store.leaves_partials
        now = self.store.files(self.place.path) if look_again else before
        strays = [path for path in now if path not in own]
        if strays:
            self.changed = True
            size_bytes = sum(now[path].size for path in strays)
            self.progress.say(f"deleted {len(strays)} unfinished files ({show_size(size_bytes)})")
            on_each([self.place.file(path) for path in strays], self.store.delete_file, self.store)


def _sweep_dataset(dataset: str, store: Store) -> None:
    """Delete unfinished copies of LATEST."""
    for entry in store.entries(dataset) if store.leaves_partials else ():
        if not entry.is_folder and entry.path.startswith(f"{LATEST}.") and entry.path.endswith(PARTIAL):
            store.delete_file(f"{dataset}/{entry.path}")
