"""The model that a server answers with: opened from its folder without PyTorch, and kept where nobody changes it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import DiskFullError, ModelDamagedError, UsageError
from matinee.model.atomic import is_full
from matinee.model.checkpoint import CHECKPOINT, ONNX, WEIGHTS, CheckpointFacts, load, read_facts
from matinee.model.table import find_model

if TYPE_CHECKING:
    from matinee.model.recommender import Recommender

__all__ = ["keep", "open_model", "title"]


def open_model(folder: Path, *, threads: int = 1) -> tuple[Recommender, CheckpointFacts]:
    """The model in `folder`: a network from its ONNX file, a counted one from its arrays.

    Raises:
        ModelNotFoundError, ModelDamagedError, ModelMismatchError: it is not there, or not what it should be.
    """
    facts = read_facts(folder)
    if not _is_network(facts, folder):
        return load(folder)
    from matinee.model.onnx_recommender import open_onnx  # noqa: PLC0415 - a counted model needs no ONNX Runtime

    return open_onnx(folder, threads=threads)


def title(facts: CheckpointFacts) -> str:
    """What a model is called in answers: its kind, and the beginning of its weights' SHA-256."""
    return f"{facts.model}@{facts.weights_sha256[:12]}"


def keep(folder: Path, facts: CheckpointFacts, shelf: Path) -> Path:
    """A folder on the `shelf` with the model as it is now: it can be trained anew and is still served as it was.

    Raises:
        DiskFullError: no space for it.
    """
    kept = shelf / facts.weights_sha256
    try:
        kept.mkdir(parents=True, exist_ok=True)
        for name in (ONNX, WEIGHTS) if _is_network(facts, folder) else (WEIGHTS,):
            if (folder / name).is_file():
                _link(folder / name, kept / name)
        _link(folder / CHECKPOINT, kept / CHECKPOINT)
    except OSError as error:
        if is_full(error):
            raise DiskFullError(f"{kept}: no space left for a copy of the model; make room and run again") from None
        raise
    return kept


def _is_network(facts: CheckpointFacts, folder: Path) -> bool:
    try:
        return find_model(facts.model).neural
    except UsageError as error:
        raise ModelDamagedError(f"{Path(folder) / CHECKPOINT}: {error}") from None


def _link(source: Path, target: Path) -> None:
    """A second name costs nothing, and files of a model are replaced, never written into."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            raise
        shutil.copyfile(source, target)
