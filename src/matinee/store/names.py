"""Where things lie in a store, and which version a person means by a word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.errors import UsageError, VersionDamagedError, VersionNotFoundError
from matinee.schema.layout import LATEST, MANIFEST, VERSIONS
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from matinee.store.connection import Store

__all__ = [
    "Place",
    "check_paths",
    "datasets",
    "ids",
    "parse_manifest",
    "read_latest",
    "read_manifest",
    "resolve",
]

_ID: Final = re.compile(r"[0-9a-f]{16}")
_PREFIX: Final = re.compile(r"[0-9a-f]{1,16}")
_DATASET: Final = re.compile(r"(?![.-])[\w.-]+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LISTED: Final = 5  # names in an error message


@dataclass(frozen=True, slots=True)
class Place:
    """A version's place in a store; whether something lies there is another question."""

    dataset: str
    id: str

    @property
    def path(self) -> str:
        """The version's folder."""
        return f"{self.dataset}/{VERSIONS}/{self.id}"

    @property
    def latest(self) -> str:
        """The data set's LATEST."""
        return f"{self.dataset}/{LATEST}"

    def file(self, path: str) -> str:
        """One of its files."""
        return f"{self.path}/{path}"


def resolve(version: str, store: Store) -> Place:
    """The version that is meant by LATEST, a data set, an id or its prefix, or dataset@any of these.

    Raises:
        UsageError: it is none of these, or more than one version is meant.
        VersionNotFoundError: no such version.
    """
    dataset, mark, wanted = version.partition("@")
    if mark:
        _check_dataset(dataset, version)
        return _in_dataset(dataset, wanted or LATEST, store)
    if version == LATEST:
        return _in_dataset(_only_dataset(store), LATEST, store)
    _check_dataset(version, version)
    if store.stat(f"{version}/{LATEST}") is not None:
        return _in_dataset(version, LATEST, store)
    if _PREFIX.fullmatch(version):
        found = [Place(name, id_) for name in datasets(store) for id_ in ids(name, store) if id_.startswith(version)]
        return _single(found, version, store)
    raise VersionNotFoundError(f"{version!r}: {store.show()} has no such version; it has {_listed(datasets(store))}")


def datasets(store: Store) -> tuple[str, ...]:
    """Names of what may be data sets: the folders in the store's root."""
    return store.folders("")


def ids(dataset: str, store: Store) -> tuple[str, ...]:
    """Ids that have a folder in a data set, complete or not; sorted."""
    return tuple(name for name in store.folders(f"{dataset}/{VERSIONS}") if _ID.fullmatch(name))


def read_latest(dataset: str, store: Store) -> str:
    """The id in LATEST; empty where there is none.

    Raises:
        VersionDamagedError: it holds something else.
    """
    content = store.read(f"{dataset}/{LATEST}")
    if content is None:
        return ""
    text = content.decode(errors="replace").strip()
    if not _ID.fullmatch(text):
        where = store.show(f"{dataset}/{LATEST}")
        raise VersionDamagedError(
            f"{where}: names {text[:40]!r}, expected an id of 16 hex digits; 'matinee versions rollback' to a version"
        )
    return text


def read_manifest(place: Place, store: Store) -> tuple[Manifest, bytes]:
    """A complete version's manifest, checked, and its bytes.

    Raises:
        VersionNotFoundError: there is none, so no complete version.
        VersionDamagedError: it is not the manifest of this version, or names paths outside it.
    """
    content = store.required(
        place.file(MANIFEST), "so no complete version; 'matinee versions list' those there are, or publish it again"
    )
    return parse_manifest(content, place, store), content


def parse_manifest(content: bytes, place: Place, store: Store) -> Manifest:
    """The manifest in these bytes; see `read_manifest`."""
    where = store.show(place.file(MANIFEST))
    manifest = Manifest.from_json(content, where)
    if (manifest.name, manifest.id) != (place.dataset, place.id):
        raise VersionDamagedError(
            f"{where}: is of {manifest.name}@{manifest.id}, expected {place.dataset}@{place.id}; publish it again"
        )
    check_paths(manifest, where)
    return manifest


def check_paths(manifest: Manifest, where: str) -> None:
    """Pass only manifests whose files lie inside the version's folder, each once; what else they say is unproven.

    Raises:
        VersionDamagedError: one names a path outside, twice, or that of the manifest; or a size or hash is none.
    """
    seen: set[str] = set()
    for entry in manifest.files:
        if not _is_inside(entry.path) or entry.path == MANIFEST or entry.path in seen:
            raise VersionDamagedError(
                f"{where}: names the path {entry.path!r}, expected each file once and inside the version; "
                "do not use it, transform again"
            )
        is_size = type(entry.size) is int and entry.size >= 0
        if not is_size or not isinstance(entry.sha256, str) or not _SHA256.fullmatch(entry.sha256):
            raise VersionDamagedError(f"{where}: {entry.path} has no size or SHA-256; transform again")
        seen.add(entry.path)


def _is_inside(path: object) -> bool:
    return (
        isinstance(path, str)
        and path.isprintable()
        and "\\" not in path
        and all(part not in {"", ".", ".."} for part in path.split("/"))
    )


def _check_dataset(dataset: str, version: str) -> None:
    if not dataset or not _DATASET.fullmatch(dataset):
        raise UsageError(f"version {version!r}: expected LATEST, a data set, an id or its prefix, or DATASET@ID")


def _only_dataset(store: Store) -> str:
    found = [name for name in datasets(store) if store.stat(f"{name}/{LATEST}") is not None]
    if not found:
        raise VersionNotFoundError(f"{store.show()}: nothing is published there yet; 'matinee load DIR --to STORE'")
    if len(found) > 1:
        raise UsageError(f"LATEST: {store.show()} has several data sets; name one of {_listed(found)}")
    return found[0]


def _in_dataset(dataset: str, wanted: str, store: Store) -> Place:
    if wanted == LATEST:
        latest = read_latest(dataset, store)
        if not latest:
            raise VersionNotFoundError(f"{store.show(dataset)}: nothing is published there yet")
        return Place(dataset, latest)
    if not _PREFIX.fullmatch(wanted):
        raise UsageError(f"version {dataset}@{wanted}: expected an id of 16 hex digits, a prefix of one, or LATEST")
    found = [Place(dataset, id_) for id_ in ids(dataset, store) if id_.startswith(wanted)]
    return _single(found, f"{dataset}@{wanted}", store)


def _single(found: list[Place], version: str, store: Store) -> Place:
    if not found:
        raise VersionNotFoundError(
            f"{version}: {store.show()} has no such version; 'matinee versions list' those there are"
        )
    if len(found) > 1:
        raise UsageError(
            f"{version}: more than one version is meant: {_listed([f'{p.dataset}@{p.id}' for p in found])}"
        )
    return found[0]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "") or "nothing"
