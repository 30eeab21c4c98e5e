"""Make an older version the latest one again; nothing is copied and nothing is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matinee.store.names import resolve
from matinee.store.publish import point_latest, read_latest_or_none
from matinee.store.records import RolledBack
from matinee.store.verify import check_sizes

if TYPE_CHECKING:
    from matinee.store.connection import Store

__all__ = ["rollback"]


def rollback(version: str, store: Store) -> RolledBack:
    """Make LATEST name an existing, complete version: all its files are there with their sizes.

    Rolling forward again is the same call with the newer version.

    Raises:
        UsageError, VersionNotFoundError: see `matinee.store.names.resolve`.
        VersionDamagedError: the version lacks a file or has one of another size; LATEST stays as it is.
        StoreError: the store does not answer, or says no.
    """
    place = resolve(version, store)
    with store.lock(place.dataset):
        check_sizes(place, store)
        previous = read_latest_or_none(place.dataset, store)
        if previous != place.id:
            point_latest(place, store)
    return RolledBack(id=place.id, dataset=place.dataset, previous=previous or "", unchanged=previous == place.id)
