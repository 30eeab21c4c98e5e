"""Which version and which model a person means by a word: a folder, what lies in the data folder, or what can be got.

VERSION is a folder, a data set's name, an id or its beginning, or name@id; MODEL is a folder, `<dataset>/<model>`, or
an address of MLflow's registry. What is not in the data folder is pulled from the store, or fetched from the registry,
into it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import ModelNotFoundError, UsageError, VersionNotFoundError
from matinee.schema.layout import MANIFEST, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.schema.progress import Progress

__all__ = ["MODELS_FOLDER", "REGISTRY_FOLDER", "find_model_folder", "find_version_folder", "registry_address"]

MODELS_FOLDER: Final = "models"
REGISTRY_FOLDER: Final = "registry"  # in the data folder: what was fetched from MLflow
_CHECKPOINT: Final = "checkpoint.json"
_ADDRESS: Final = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")
_SHORTEST_ID: Final = 4  # a shorter beginning of an id is more often a mistake


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


def find_model_folder(model: str | Path, data_dir: str | Path, *, progress: Progress | None = None) -> Path:
    """The folder of a trained model on this machine; fetched from MLflow's registry where its address is given.

    Args:
        model: see above; `<dataset>/<model>` is the one trained last.
        data_dir: whose `models/` are looked through, and whose MLflow is asked.
        progress: told of the services that are started for it.

    Raises:
        ModelNotFoundError: there is no such model.
        ModelDamagedError: the registry's files are not those that were registered.
        UsageError, ServiceError, TrackingError: the address is none, or MLflow does not start or answer.
    """
    text, root = str(model), Path(data_dir) / MODELS_FOLDER
    if text.startswith("models:/"):
        return _fetch(text, Path(data_dir), progress)
    if (Path(model) / _CHECKPOINT).is_file():
        return Path(model)
    # By `<dataset>/<model>`, and by the name of one folder.
    named: dict[str, list[Path]] = {}
    for path in root.glob(f"*/*/*/{_CHECKPOINT}"):
        dataset, own = path.parts[-4], path.parts[-2]
        for name in filter(None, (own, own.rpartition("-")[0])):
            named.setdefault(f"{dataset}/{name}", []).append(path)
    if text in named:
        return _by_time(named[text])
    there = sorted(name for name in named if re.search(r"-[0-9a-f]{8}$", name) is None)
    raise ModelNotFoundError(
        f"{text}: no folder with a {_CHECKPOINT}, and no model of {root}, "
        + (f"where there are {', '.join(there)}" if there else "which has none yet; run 'matinee train'")
    )


def registry_address(text: str) -> re.Match[str]:
    """The parts of an address of MLflow's registry: `name`, and `alias` or `number`.

    Raises:
        UsageError: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise UsageError(f"{text}: expected models:/NAME@ALIAS or models:/NAME/NUMBER")
    return found


def _pull(
    version: str, root: Path, data_dir: Path, store: str | None, endpoint: str | None, progress: Progress | None
) -> Path:
    from matinee.place import embedded_folder, open_place  # noqa: PLC0415 - most versions are here already
    from matinee.store import pull  # noqa: PLC0415 - as above
    from matinee.store.names import resolve  # noqa: PLC0415 - as above

    if store is None and not embedded_folder(data_dir).is_dir():
        raise VersionNotFoundError(
            f"version {version!r}: no folder of that name, none in {root}, and no store to pull it from; name its "
            "folder, pass --store, or run 'matinee rehearse'"
        )
    with open_place(store, endpoint, data_dir) as opened:
        place = resolve(version, opened)
        return pull(f"{place.dataset}@{place.id}", root / place.dataset / place.id, opened, progress=progress).folder


def _fetch(address: str, data_dir: Path, progress: Progress | None) -> Path:
    registry_address(address)  # a mistake is told at once, not after the stack has started
    from matinee.stack import running  # noqa: PLC0415 - a folder needs no stack
    from matinee.train.registry import fetch  # noqa: PLC0415 - MLflow takes seconds to import

    with running(data_dir, ["s3", "postgres", "mlflow"], progress=progress) as stack:
        return fetch(stack.mlflow_url, address, data_dir / REGISTRY_FOLDER)


def _newest(manifests: Iterable[Path], otherwise: str) -> Path:
    paths = [*manifests]
    if not paths:
        raise VersionNotFoundError(otherwise)
    return _by_time(paths)


def _by_time(paths: Iterable[Path]) -> Path:
    """The folder of the file that was written last."""
    return max(paths, key=lambda path: (path.stat().st_mtime_ns, path)).parent
