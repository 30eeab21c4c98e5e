"""Which model a person means by a word: a folder, what lies in the data folder, or what can be got.

MODEL is a folder, `<dataset>/<model>`, or an address of MLflow's registry, from which it is fetched into the data
folder. What VERSION may be is told in `matinee.place`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import ModelNotFoundError, UsageError
from matinee.place import find_version_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.schema.progress import Progress

__all__ = ["MODELS_FOLDER", "REGISTRY_FOLDER", "find_model_folder", "find_version_folder", "registry_address"]

MODELS_FOLDER: Final = "models"
REGISTRY_FOLDER: Final = "registry"  # in the data folder: what was fetched from MLflow
_CHECKPOINT: Final = "checkpoint.json"
_ADDRESS: Final = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")


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


def _fetch(address: str, data_dir: Path, progress: Progress | None) -> Path:
    registry_address(address)  # a mistake is told at once, not after the stack has started
    from matinee.stack import running  # noqa: PLC0415 - a folder needs no stack
    from matinee.train.registry import fetch  # noqa: PLC0415 - MLflow takes seconds to import

    with running(data_dir, ["s3", "postgres", "mlflow"], progress=progress) as stack:
        return fetch(stack.mlflow_url, address, data_dir / REGISTRY_FOLDER)


def _by_time(paths: Iterable[Path]) -> Path:
    """The folder of the file that was written last."""
    return max(paths, key=lambda path: (path.stat().st_mtime_ns, path)).parent
