"""Which store is meant, and which version: what is named, or what lies in a data folder.

A store is the one that is named, or the stack's S3 in the data folder, up for as long as it is needed. VERSION is a
folder, a data set's name, an id or its beginning, or name@id; what is not in the data folder is pulled into it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from matinee.errors import UsageError, VersionNotFoundError
from matinee.schema.layout import MANIFEST, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matinee.schema.progress import Progress
    from matinee.store import Store
    from matinee.version import Version

__all__ = [
    "BUCKET",
    "DATA_DIR",
    "Address",
    "Reach",
    "embedded_folder",
    "find_version_folder",
    "open_named_version",
    "open_place",
    "place",
]

BUCKET = "matinee"
DATA_DIR = Path("matinee-data")
_SHORTEST_ID = 4  # a shorter beginning of an id is more often a mistake


class Reach(TypedDict):
    """Endpoint and keys of an S3 service; None leaves each to the environment."""

    endpoint: str | None
    access_key: str | None
    secret_key: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """What `open_store` and `load` take to reach a store."""

    to: str
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)

    @property
    def reach(self) -> Reach:
        """All but `to`, by parameter name."""
        return {"endpoint": self.endpoint, "access_key": self.access_key, "secret_key": self.secret_key}


@contextmanager
def place(store: str | None, endpoint: str | None, data_dir: str | Path, *, create: bool = False) -> Iterator[Address]:
    """The address of the store that `store` names; with None, of the embedded one of `data_dir`.

    That one is the S3 of the stack in `data_dir`. It runs for as long as the block does, and is stopped at its end
    unless somebody else uses it or `matinee up` keeps it up. `create` starts one that has never been there; without
    it, that is an error, because a command that only looks should not leave a service's folder behind.

    Raises:
        UsageError: no store is named and `data_dir` has no embedded one.
        ServiceError: the embedded store does not start.
    """
    if store is not None:
        yield Address(store, endpoint)
        return
    if not create and not embedded_folder(Path(data_dir)).is_dir():
        raise UsageError(
            f"no store is named, and {data_dir} has no embedded one; pass --store, or run 'matinee rehearse' first"
        )
    from matinee.stack import running  # noqa: PLC0415 - only where the embedded store is meant

    with running(data_dir, ["s3"]) as stack:
        yield Address(f"s3://{BUCKET}", stack.s3.url, stack.s3.access_key, stack.s3.secret_key)


@contextmanager
def open_place(store: str | None, endpoint: str | None, data_dir: str | Path) -> Iterator[Store]:
    """The open store at `place`.

    Raises:
        UsageError, ServiceError: see `place`.
        StoreError: the store does not answer, or says no.
    """
    from matinee.store import open_store  # noqa: PLC0415 - this module's names are wanted where no store is opened

    with place(store, endpoint, data_dir) as address, open_store(address.to, **address.reach) as opened:
        yield opened


def embedded_folder(data_dir: Path) -> Path:
    """Where the embedded store of `data_dir` keeps its bytes: its place, or the old one until its next start."""
    from matinee.stack.folders import Folders  # noqa: PLC0415 - see place

    folders = Folders.of(data_dir)
    return folders.old_s3 if folders.old_s3.is_dir() and not folders.s3.exists() else folders.s3


def find_version_folder(
    version: str | Path | None,
    data_dir: str | Path,
    *,
    store: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """The folder of a version on this machine; pulled from the store where it is not here yet.

    Args:
        version: see above; None is the newest one in the data folder.
        data_dir: whose `versions/` are looked through, and where one is pulled to.
        store: where to pull from; None is the embedded one of `data_dir`.
        endpoint: of an s3:// store.
        progress: told of what is pulled.

    Raises:
        VersionNotFoundError: there is no such version, here or in the store.
        UsageError: more than one version is meant.
        VersionError, StoreError, ServiceError, DiskFullError: it cannot be pulled.
    """
    root = Path(data_dir) / VERSIONS
    if version is None:
        return _newest(root.glob(f"*/*/{MANIFEST}"), f"{root}: no version yet; run 'matinee rehearse', or name one")
    if isinstance(version, Path) or (Path(version) / MANIFEST).is_file() or "/" in version:
        return Path(version)
    name, mark, wanted = version.partition("@")
    if not mark and (root / name).is_dir():
        return _newest((root / name).glob(f"*/{MANIFEST}"), f"{root / name}: no complete version")
    dataset, beginning = (name, wanted) if mark else ("*", version)
    found = (
        [path.parent for path in root.glob(f"{dataset}/{beginning}*/{MANIFEST}")]
        if len(beginning) >= _SHORTEST_ID and beginning.isalnum()
        else []
    )
    if len(found) > 1:
        raise UsageError(f"{version!r} is the beginning of {', '.join(path.name for path in found)}; write more of it")
    return found[0] if found else _pull(version, root, Path(data_dir), store, endpoint, progress)


def open_named_version(
    version: str | Path | None = None,
    *,
    data_dir: str | Path = DATA_DIR,
    store: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Version:
    """`matinee.open_version`: open a version for reading, pulled first where it is not here yet.

    Args:
        version: see above; None is the newest one in the data folder.
        data_dir: whose `versions/` are looked through, and where one is pulled to.
        store: where to pull from; None is the embedded one of `data_dir`.
        endpoint: of an s3:// store.
        progress: told of what is pulled.

    Raises:
        VersionNotFoundError: there is no such version, or it has no certificate.
        VersionDamagedError: its manifest or its certificate cannot be read.
        UsageError, StoreError, ServiceError, DiskFullError: see `find_version_folder`.
    """
    from matinee.version import open_version  # noqa: PLC0415 - brings NumPy

    return open_version(find_version_folder(version, data_dir, store=store, endpoint=endpoint, progress=progress))


def _pull(
    version: str, root: Path, data_dir: Path, store: str | None, endpoint: str | None, progress: Progress | None
) -> Path:
    from matinee.store import pull  # noqa: PLC0415 - most versions are here already
    from matinee.store.names import resolve  # noqa: PLC0415 - as above

    if store is None and not embedded_folder(data_dir).is_dir():
        raise VersionNotFoundError(
            f"version {version!r}: no folder of that name, none in {root}, and no store to pull it from; name its "
            "folder, pass --store, or run 'matinee rehearse'"
        )
    with open_place(store, endpoint, data_dir) as opened:
        place = resolve(version, opened)
        return pull(f"{place.dataset}@{place.id}", root / place.dataset / place.id, opened, progress=progress).folder


def _newest(manifests: Iterable[Path], otherwise: str) -> Path:
    paths = [*manifests]
    if not paths:
        raise VersionNotFoundError(otherwise)
    return max(paths, key=lambda path: (path.stat().st_mtime_ns, path)).parent
