"""Export: a trained model leaves Matinee as ONNX or as a state dict, checked against the original; and comes back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

from matinee.errors import ModelError, UsageError
from matinee.model import checkpoint
from matinee.model.agreement import Agreement, compare, random_histories
from matinee.model.atomic import make_folder
from matinee.train.find import find_model_folder

if TYPE_CHECKING:
    from matinee.model.checkpoint import CheckpointFacts
    from matinee.model.recommender import Recommender

__all__ = ["Exported", "Format", "export", "write_onnx"]

Format = Literal["onnx", "pth", "safetensors"]

_TOLERANCE: Final = 1e-4  # of the largest score, where that is above 1
_HISTORIES: Final = 1_000
_TIMED: Final = 30  # questions


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export.

    Attributes:
        path, format: the file (for 'safetensors' the folder) and what it is.
        model: its name, as 'sse-pt'.
        size_bytes: of that file, or of the folder's two.
        agreement: of what was written with the original, on a thousand random histories.
        original_ms, exported_ms: median time of one person's scores, as it was and as it is now.
    """

    path: Path
    format: Format
    model: str
    size_bytes: int
    agreement: Agreement
    original_ms: float
    exported_ms: float


def export(
    model: str | Path,
    *,
    format: Format = "onnx",  # noqa: A002 - the option's name
    out: str | Path | None = None,
    data_dir: str | Path = "matinee-data",
) -> Exported:
    """Write a trained model as one file for other programs, or a state dict as a model; compare it with the original.

    Args:
        model: a model's folder, <dataset>/<model> or models:/NAME@ALIAS; for 'safetensors' a .pth file.
        format: 'onnx'; 'pth', a state dict with a .json beside it; 'safetensors', from such a pair to a model's folder.
        out: the file, or for 'safetensors' the folder; by default model.onnx or model.pth in the model's folder, and a
            folder named like the .pth file.
        data_dir: whose models are meant.

    Raises:
        ModelNotFoundError: there is no such model.
        ModelDamagedError: its files are not what they should be.
        ModelError: what was written does not answer like the original.
        UsageError: a model that is counted, as popularity, is neither a graph nor a state dict.
        DiskFullError: no space left.
    """
    if format == "safetensors":
        return _from_pth(Path(model), out)
    folder = find_model_folder(model, data_dir)
    original, facts = checkpoint.load(folder)
    if format == "onnx":
        return write_onnx(original, facts, Path(out or folder / checkpoint.ONNX))
    return _to_pth(original, facts, Path(out or folder / "model.pth"))


def write_onnx(model: Recommender, facts: CheckpointFacts, path: Path) -> Exported:
    """Export `model`, whose checkpoint has these facts, to `path` as ONNX, and compare.

    Raises:
        UsageError, ModelError, DiskFullError: see `export`.
    """
    from matinee.model.export_onnx import export_onnx  # noqa: PLC0415 - brings PyTorch's exporter, seconds
    from matinee.model.onnx_recommender import OnnxRecommender  # noqa: PLC0415 - brings ONNX Runtime

    _make_room(path)
    export_onnx(model, facts, path)
    return _compared(model, OnnxRecommender(path.read_bytes()), path, "onnx", path.stat().st_size)


def _to_pth(model: Recommender, facts: CheckpointFacts, path: Path) -> Exported:
    from matinee.model.pth import read_pth, write_pth  # noqa: PLC0415 - brings PyTorch

    _make_room(path)
    write_pth(model, facts, path)
    return _compared(model, read_pth(path)[0], path, "pth", path.stat().st_size)


def _from_pth(path: Path, out: str | Path | None) -> Exported:
    from matinee.model.pth import read_pth  # noqa: PLC0415 - brings PyTorch

    if path.is_dir():
        raise UsageError(f"{path}: --format safetensors makes a model of a .pth file, and this is a folder")
    folder = Path(out) if out else path.with_suffix("")
    model, facts = read_pth(path)
    _make_room(folder / checkpoint.CHECKPOINT)
    checkpoint.save(folder, model, facts)
    size_bytes = sum((folder / name).stat().st_size for name in (checkpoint.WEIGHTS, checkpoint.CHECKPOINT))
    return _compared(model, checkpoint.load(folder)[0], folder, "safetensors", size_bytes)


def _make_room(path: Path) -> None:
    """See that `path` can be written to, or say why not."""
    if path.is_dir():
        raise UsageError(f"{path}: a folder, expected a file to write; name one with --out")
    make_folder(path.parent)


def _compared(original: Recommender, exported: Recommender, path: Path, kind: Format, size_bytes: int) -> Exported:
    asked = random_histories(original.known, original.settings.maxlen, _HISTORIES)
    agreement = compare(original, exported, asked)
    if agreement.difference > _TOLERANCE * max(1.0, agreement.scale):
        raise ModelError(
            f"{path}: its scores differ by up to {agreement.difference:.3g} from those of {original.name}, expected at "
            f"most {_TOLERANCE:g}; do not use it, and report this"
        )
    return Exported(
        path=path,
        format=kind,
        model=original.name,
        size_bytes=size_bytes,
        agreement=agreement,
        original_ms=_one_person_ms(original),
        exported_ms=_one_person_ms(exported),
    )


def _one_person_ms(model: Recommender) -> float:
    """The median over histories of `maxlen` items, asked one by one."""
    maxlen = getattr(model.settings, "maxlen")  # noqa: B009 - each model has settings of its own
    times_ms = []
    for seed in range(_TIMED):
        asked = random_histories(model.known, maxlen, 1, seed=seed)
        began_s = time.perf_counter()
        model.scores(asked)
        times_ms.append((time.perf_counter() - began_s) * 1e3)
    return median(times_ms)
