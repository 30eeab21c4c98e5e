"""Reports of replays in a store, beside the version that was replayed: `<dataset>/reports/<version>/<replay>/`.

They are no part of the version: its manifest does not list them, and `verify`, `pull` and `gc` neither read nor delete
them. What a report says of a version that was collected can still be read; the version can be made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matinee.errors import StoreError, VersionConflictError
from matinee.schema.progress import Progress, Silent
from matinee.store.names import Place, read_manifest
from matinee.store.records import PublishedReport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matinee.store.connection import Store

__all__ = ["REPORTS", "publish_report"]

REPORTS: Final = "reports"


def publish_report(
    folder: Path,
    files: Mapping[str, str],
    *,
    dataset: str,
    version: str,
    replay: str,
    store: Store,
    progress: Progress | None = None,
) -> PublishedReport:
    """Send a report's files, and read each back; the first one of `files` last, so that with it the report is whole.

    A report that is there already is left alone, and never changed: run again after any interruption, this sends what
    is missing.

    Args:
        folder: with the files.
        files: their names, and the SHA-256 of each; the first is the one that stands for them all.
        dataset: whose events were replayed.
        version: of it, by its id.
        replay: its id.
        store: where to.
        progress: told of the files.

    Raises:
        VersionNotFoundError: the version is not in the store, so there is nothing to publish beside.
        VersionConflictError: another report is there under the same id.
        StoreError, DiskFullError: the store refused or failed, or does not give back what was sent.
    """
    progress = progress or Silent()
    read_manifest(Place(dataset, version), store)
    place = f"{dataset}/{REPORTS}/{version}/{replay}"
    head, *others = files
    with store.lock(place):
        found = _sha256(f"{place}/{head}", store)
        if found is not None and found != files[head]:
            raise VersionConflictError(
                f"{store.show(f'{place}/{head}')}: has SHA-256 {found}, expected {files[head]}; a published report is "
                "never changed: replay with --again for one of its own"
            )
        progress.start("publish report", len(files), "files")
        sent = []
        for name in (*others, head):
            if found is None or _sha256(f"{place}/{name}", store) != files[name]:
                _send(folder, name, f"{place}/{name}", files[name], store)
                sent.append(name)
            progress.advance(1)
        progress.finish(f"{len(sent)} of {len(files)} files sent, each read back")
    return PublishedReport(location=store.show(place), files=tuple(files), unchanged=not sent)


def _send(folder: Path, name: str, path: str, expected: str, store: Store) -> None:
    store.send(folder, name, path)
    found = store.sha256(path)
    if found != expected:
        store.delete_file(path)
        raise StoreError(
            f"{store.show(path)}: reads back with SHA-256 {found}, expected {expected}; the report was not published, "
            "run again or look after this store"
        )


def _sha256(path: str, store: Store) -> str | None:
    return store.sha256(path) if store.stat(path) is not None else None
