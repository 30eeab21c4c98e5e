"""Delete old versions and the remains of broken-off publishes; never what LATEST names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from matinee.errors import UsageError, VersionNotFoundError
from matinee.schema.layout import MANIFEST
from matinee.schema.progress import Progress, Silent
from matinee.sizes import show_size
from matinee.store.listing import list_versions
from matinee.store.names import Place, datasets, ids, read_latest
from matinee.store.records import Collected, Incomplete, StoredVersion

if TYPE_CHECKING:
    from matinee.store.connection import Store

__all__ = ["gc"]

_LEFT_ALONE: Final = timedelta(days=1)  # what was written to later may be a publish that is still at work


def gc(
    store: Store,
    *,
    keep: int,
    dataset: str | None = None,
    dry_run: bool = False,
    incomplete_now: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Delete all but the newest `keep` versions of each data set, and remains of publishes that ended a day ago.

    The version that LATEST names is kept on top of these, however old; newest is by the time of `manifest.json`, that
    is of publishing. A version loses its manifest first, so that a half-deleted one is not taken for complete.

    Admits: on S3 and other remotes nothing is locked: do not collect while someone rolls back to a version that is
    about to go, or publishes the very same version.

    Args:
        store: an open store.
        keep: how many, 1 or more.
        dataset: only this one.
        dry_run: delete nothing, tell what would go.
        incomplete_now: take remains younger than a day, too; they may belong to a publish at work.
        progress: told of each deleted version.

    Raises:
        UsageError: `keep` is below 1.
        VersionNotFoundError: the store has no such data set.
        VersionDamagedError: a LATEST cannot be read, so what it names can't be kept; nothing is deleted.
        StoreError: the store does not answer, or says no.
    """
    if keep < 1:
        raise UsageError(f"--keep {keep}: expected 1 or more; the newest version is never deleted")
    names = datasets(store) if dataset is None else (dataset,)
    if dataset is not None and dataset not in datasets(store):
        raise VersionNotFoundError(f"{store.show(dataset)}: nothing is published there")
    versions = {name: list_versions(store, name) for name in names}
    kept = {name: _kept(found, keep, read_latest(name, store)) for name, found in versions.items()}
    deleted = [version for name, found in versions.items() for version in found if version not in kept[name]]
    incomplete = [remains for name in names for remains in _incomplete(name, versions[name], store, now=incomplete_now)]
    if not dry_run:
        deleted = [version for version in deleted if _delete_version(version, store, progress or Silent())]
        for remains in incomplete:
            _delete_remains(remains, store, progress or Silent())
    return Collected(
        deleted=tuple(deleted),
        incomplete=tuple(incomplete),
        kept=tuple(version for found in kept.values() for version in found),
        freed_bytes=sum(version.size_bytes for version in deleted) + sum(remains.size_bytes for remains in incomplete),
        dry_run=dry_run,
    )


def _kept(versions: tuple[StoredVersion, ...], keep: int, latest: str) -> list[StoredVersion]:
    return [version for at, version in enumerate(versions) if at < keep or version.id == latest]


def _incomplete(dataset: str, versions: tuple[StoredVersion, ...], store: Store, *, now: bool) -> list[Incomplete]:
    """Folders of a data set without a manifest that are old enough."""
    complete = {version.id for version in versions}
    found = []
    for id_ in ids(dataset, store):
        if id_ in complete:
            continue
        place = Place(dataset, id_)
        files = store.files(place.path, times=True)
        if MANIFEST in files:
            continue  # completed since we listed
        newest = max((entry.modified for entry in files.values() if entry.modified), default=None)
        if now or newest is None or datetime.now(UTC) - newest > _LEFT_ALONE:
            size_bytes = sum(entry.size for entry in files.values())
            found.append(Incomplete(id_, dataset, store.show(place.path), len(files), size_bytes, newest))
    return found


def _delete_version(version: StoredVersion, store: Store, progress: Progress) -> bool:
    """Delete a version, unless it has become the latest meanwhile; whether it is gone."""
    place = Place(version.dataset, version.id)
    with store.lock(place.dataset):
        if read_latest(place.dataset, store) == place.id:
            progress.say(f"kept {place.dataset}@{place.id}: it has just become the latest")
            return False
        store.delete_file(place.file(MANIFEST))
    _delete_folder(place, store)
    progress.say(f"deleted {place.dataset}@{place.id} ({show_size(version.size_bytes)})")
    return True


def _delete_remains(remains: Incomplete, store: Store, progress: Progress) -> None:
    place = Place(remains.dataset, remains.id)
    _delete_folder(place, store)
    progress.say(f"deleted the remains of {place.dataset}@{place.id} ({show_size(remains.size_bytes)})")


def _delete_folder(place: Place, store: Store) -> None:
    # The lock makes us wait for a publisher of this version on this machine; if it has made the version whole again,
    # what lies there now is its, not the remains that were found.
    with store.lock(place.path):
        if store.stat(place.file(MANIFEST)) is None:
            store.delete_folder(place.path)
            store.drop_unfinished_uploads(place.path)  # after that: on Swift, what belongs to no file is dropped
