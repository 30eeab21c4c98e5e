"""Which versions a store has, and all that is known of one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from matinee.errors import VersionDamagedError
from matinee.schema.certificate import Certificate
from matinee.schema.layout import CERTIFICATE, MANIFEST, RUN, SPLITS, events_path
from matinee.store.names import Place, datasets, ids, parse_manifest, read_latest, read_manifest, resolve
from matinee.store.parallel import on_each
from matinee.store.records import Shown, StoredVersion

if TYPE_CHECKING:
    from matinee.schema.manifest import Manifest
    from matinee.store.connection import Store
    from matinee.store.rclone import Entry

__all__ = ["list_versions", "show"]


def list_versions(store: Store, dataset: str | None = None) -> tuple[StoredVersion, ...]:
    """The complete versions in a store, or in one data set of it, the newest first.

    One with a manifest that cannot be read is listed with a note; the remains of broken-off publishes are not listed.

    Raises:
        StoreError: the store does not answer, or says no.
    """
    names = datasets(store) if dataset is None else (dataset,)
    places = [Place(name, id_) for found in on_each(names, _ids_in(store), store) for name, id_ in found]
    latest = {name: _latest(name, store) for name in {place.dataset for place in places}}
    found = on_each(places, lambda place: _look(place, latest[place.dataset], store), store)
    return tuple(
        sorted((version for version in found if version is not None), key=lambda v: (v.published, v.id), reverse=True)
    )


def show(version: str, store: Store) -> Shown:
    """One version: its manifest, certificate, and how its run went.

    Raises:
        UsageError, VersionNotFoundError, VersionDamagedError: see `matinee.store.names`.
        StoreError: the store does not answer, or says no.
    """
    place = resolve(version, store)
    manifest, _ = read_manifest(place, store)
    entry = store.stat(place.file(MANIFEST))
    published = _time(entry)
    certificate = store.read(place.file(CERTIFICATE))
    where = store.show(place.file(CERTIFICATE))
    return Shown(
        version=_stored(place, manifest, published, store, latest=_latest(place.dataset, store) == place.id),
        manifest=manifest,
        certificate=None if certificate is None else Certificate.from_json(certificate, where),
        run=_run(place, store),
    )


def _ids_in(store: Store) -> Any:
    return lambda name: [(name, id_) for id_ in ids(name, store)]


def _latest(dataset: str, store: Store) -> str:
    """The id in LATEST; empty where it is missing or damaged, which must not hide the versions."""
    try:
        return read_latest(dataset, store)
    except VersionDamagedError:
        return ""


def _look(place: Place, latest: str, store: Store) -> StoredVersion | None:
    """A version at a glance; None where it is not complete."""
    entry = store.stat(place.file(MANIFEST))
    content = store.read(place.file(MANIFEST)) if entry is not None else None
    if entry is None or content is None:
        return None
    try:
        manifest = parse_manifest(content, place, store)
    except VersionDamagedError as error:
        return StoredVersion(
            id=place.id,
            dataset=place.dataset,
            location=store.show(place.path),
            published=_time(entry),
            latest=place.id == latest,
            files=0,
            size_bytes=0,
            rows=0,
            source="",
            note=str(error),
        )
    return _stored(place, manifest, _time(entry), store, latest=place.id == latest)


def _time(entry: Entry | None) -> datetime:
    """When a file was written; the beginning of time where the store does not say."""
    return entry.modified if entry is not None and entry.modified is not None else datetime.fromtimestamp(0, UTC)


def _stored(place: Place, manifest: Manifest, published: datetime, store: Store, *, latest: bool) -> StoredVersion:
    rows = {entry.path: entry.rows or 0 for entry in manifest.files}
    return StoredVersion(
        id=place.id,
        dataset=place.dataset,
        location=store.show(place.path),
        published=published,
        latest=latest,
        files=len(manifest.files),
        size_bytes=manifest.size,
        rows=sum(rows.get(events_path(split), 0) for split in SPLITS),
        source=manifest.source.name,
    )


def _run(place: Place, store: Store) -> dict[str, Any] | None:
    """How the run went; None where it is not told, or not readable: it is no part of the version."""
    content = store.read(place.file(RUN))
    try:
        plain = json.loads(content) if content is not None else None
    except ValueError:
        return None
    return plain if isinstance(plain, dict) else None
