"""A trained model as MLflow's pyfunc: which files it is made of and what they need; `train.track` is who logs it."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

from matinee.errors import ModelNotFoundError
from matinee.model.checkpoint import CHECKPOINT, ONNX, check_matches, read_facts
from matinee.schema.layout import ITEM_IDS, USER_IDS
from matinee.schema.manifest import Manifest

__all__ = ["PYTHON_MODEL", "artifacts", "requirements"]

PYTHON_MODEL: Final = str(Path(__file__).with_name("pyfunc_model.py"))

_NEEDED: Final = ("mlflow", "numpy", "onnxruntime", "pyarrow")


def artifacts(folder: str | Path, version_folder: str | Path) -> dict[str, str]:
    """The files of the model in `folder`, trained on the version in `version_folder`, by the names that it knows.

    Raises:
        ModelNotFoundError: there is no model, or it has not been exported.
        ModelMismatchError: the version has other id maps than the model.
        ModelDamagedError, VersionError: a file cannot be read.
    """
    folder, version = Path(folder).absolute(), Path(version_folder).absolute()
    facts, manifest = read_facts(folder), Manifest.read(version)
    check_matches(facts, manifest.users, manifest.items)
    if not (folder / ONNX).is_file():
        raise ModelNotFoundError(f"{folder}: no {ONNX}; run 'matinee export {folder}'")
    paths = {
        "model": folder / ONNX,
        "checkpoint": folder / CHECKPOINT,
        "users": version / USER_IDS,
        "items": version / ITEM_IDS,
    }
    return {name: str(path) for name, path in paths.items()}


def requirements() -> list[str]:
    """What the served model needs, pinned to what it was exported with."""
    return [f"{name}=={installed_version(name)}" for name in _NEEDED]
