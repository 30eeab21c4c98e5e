"""The model that a server answers with: what it is called, and where it is kept so that nobody changes it."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

from matinee.errors import DiskFullError
from matinee.model.atomic import is_full
from matinee.model.checkpoint import CHECKPOINT, ONNX, WEIGHTS
from matinee.model.opening import is_network

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.model.checkpoint import CheckpointFacts

__all__ = ["keep", "title"]


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
        for name in (ONNX, WEIGHTS) if is_network(facts, folder) else (WEIGHTS,):
            if (folder / name).is_file():
                _link(folder / name, kept / name)
        _link(folder / CHECKPOINT, kept / CHECKPOINT)
    except OSError as error:
        if is_full(error):
            raise DiskFullError(f"{kept}: no space left for a copy of the model; make room and run again") from None
        raise
    return kept


def _link(source: Path, target: Path) -> None:
    """A second name costs nothing, and files of a model are replaced, never written into."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            raise
        shutil.copyfile(source, target)
