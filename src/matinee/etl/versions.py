"""`matinee versions`, `mount` and `unmount`: name a store, do one thing to the versions in it, leave it.

The functions of `matinee.store` take a store that is open; these open the one that is named, or the embedded one of a
data folder, and close it again. Wherever they take a `version`, see `matinee.store` for what it may be.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from matinee import store as room
from matinee.etl.load import load
from matinee.place import DATA_DIR, open_place, place
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    import builtins

    from matinee.lineage import Recorder

__all__ = ["gc", "list", "mount", "publish", "pull", "rollback", "show", "unmount", "verify"]

_POLL_S = 0.5


def list(  # noqa: A001 - `matinee versions list` is `matinee.versions.list()`
    *,
    dataset: str | None = None,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
) -> builtins.list[room.StoredVersion]:
    """The versions in a store, the newest first; of one data set with `dataset`."""
    with open_place(store, endpoint, data_dir) as opened:
        return [*room.list_versions(opened, dataset)]


def show(
    version: str = "LATEST", *, store: str | None = None, endpoint: str | None = None, data_dir: str | Path = DATA_DIR
) -> room.Shown:
    """One version with its manifest, its certificate and how its run went."""
    with open_place(store, endpoint, data_dir) as opened:
        return room.show(version, opened)


def publish(
    folder: str | Path,
    *,
    recheck: bool = False,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> room.Published:
    """Publish the version in `folder`, verify it in the store, and make it the latest; see `matinee.load`."""
    with place(store, endpoint, data_dir, create=True) as address:
        return load(Path(folder), address.to, **address.reach, recheck=recheck, lineage=lineage, progress=progress)


def verify(
    version: str = "LATEST",
    *,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
    progress: Progress | None = None,
) -> room.Verified:
    """Read a version back and compare every file's SHA-256 with its manifest; see `matinee.store.verify`."""
    with open_place(store, endpoint, data_dir) as opened:
        return room.verify(version, opened, progress=progress)


def pull(
    version: str = "LATEST",
    *,
    out: str | Path,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
    progress: Progress | None = None,
) -> room.Pulled:
    """Copy a version to the folder `out` and verify it; see `matinee.store.pull`."""
    with open_place(store, endpoint, data_dir) as opened:
        return room.pull(version, Path(out), opened, progress=progress)


def rollback(
    version: str, *, store: str | None = None, endpoint: str | None = None, data_dir: str | Path = DATA_DIR
) -> room.RolledBack:
    """Make an older version the latest one again; see `matinee.store.rollback`."""
    with open_place(store, endpoint, data_dir) as opened:
        return room.rollback(version, opened)


def gc(
    *,
    keep: int = 3,
    dataset: str | None = None,
    dry_run: bool = False,
    incomplete_now: bool = False,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
    progress: Progress | None = None,
) -> room.Collected:
    """Delete all but the newest `keep` versions of each data set; see `matinee.store.gc`."""
    with open_place(store, endpoint, data_dir) as opened:
        return room.gc(
            opened, keep=keep, dataset=dataset, dry_run=dry_run, incomplete_now=incomplete_now, progress=progress
        )


def mount(
    version: str,
    directory: str | Path,
    *,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
    progress: Progress | None = None,
) -> room.Mounted:
    """Show a version as a read-only folder; see `matinee.store.mount`.

    Returns at once where a store is named. The embedded one must stay up for as long as its version is looked at: then
    this returns when the folder has been unmounted, by an interrupt or by `unmount` from elsewhere.
    """
    directory, progress = Path(directory), progress or Silent()
    with open_place(store, endpoint, data_dir) as opened:
        mounted = room.mount(version, directory, opened)
        if store is None:
            progress.say(
                f"{mounted.dataset} {mounted.id} is in {directory} until Ctrl-C or 'matinee unmount {directory}'"
            )
            _wait_until_unmounted(directory)
    return mounted


def unmount(directory: str | Path) -> bool:
    """Take a mounted version away again; False where nothing is mounted. See `matinee.store.unmount`."""
    return room.unmount(Path(directory))


def _wait_until_unmounted(directory: Path) -> None:
    try:
        while directory.is_mount():
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        room.unmount(directory)
