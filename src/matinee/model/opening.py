"""A trained model, opened to be asked: which engine computes its scores, and what happens where that one cannot.

A network has two engines, whose scores differ in their last bits: ONNX Runtime, with which the server answers, and
PyTorch, which trains. A counted model is its arrays, and NumPy the only engine there is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from matinee.errors import ModelDamagedError, ModelError, UsageError
from matinee.model.checkpoint import CHECKPOINT, CheckpointFacts, load, read_facts
from matinee.model.ranges import among
from matinee.model.table import find_model

if TYPE_CHECKING:
    from matinee.model.recommender import Recommender
    from matinee.schema.progress import Progress

__all__ = ["EngineChoice", "is_network", "open_model"]

EngineChoice = Literal["auto", "onnx", "torch"]


def open_model(
    folder: Path, *, engine: EngineChoice, threads: int = 1, progress: Progress | None = None
) -> tuple[Recommender, CheckpointFacts]:
    """The model in `folder`, and the facts of its checkpoint; a counted one from its arrays, whatever `engine` says.

    Args:
        folder: of a trained model.
        engine: of a network: 'onnx' asks `model.onnx` and loads no PyTorch, 'torch' the checkpoint, 'auto' the first
            that there is; where that is 'torch', a line says so, and why.
        threads: of ONNX Runtime that share one question's work.
        progress: told that line.

    Raises:
        ModelNotFoundError, ModelDamagedError, ModelMismatchError: it is not there, or not what it should be.
        UsageError: there is no such engine.
    """
    among("engine", engine, get_args(EngineChoice))
    if engine == "torch" or not is_network(read_facts(folder), folder):
        return load(folder)
    from matinee.model.onnx_recommender import open_onnx  # noqa: PLC0415 - a counted model needs no ONNX Runtime

    try:
        return open_onnx(folder, threads=threads)
    except ModelError as error:
        if engine == "onnx":
            raise
        if progress is not None:
            progress.say(f"{error}; until then PyTorch scores, and a rank may differ from a server's here and there")
        return load(folder)


def is_network(facts: CheckpointFacts, folder: Path) -> bool:
    """Whether the model in `folder`, of which these are the facts, is a network.

    Raises:
        ModelDamagedError: nobody knows such a model.
    """
    try:
        return find_model(facts.model).neural
    except UsageError as error:
        raise ModelDamagedError(f"{Path(folder) / CHECKPOINT}: {error}") from None
