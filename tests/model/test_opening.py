"""Which engine a model's folder is opened with, and what is said where it cannot be the one that was wanted."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from exported_model import make_network, save_network
from matinee.errors import ModelDamagedError, ModelMismatchError, ModelNotFoundError, UsageError
from matinee.model.histories import Histories
from matinee.model.opening import open_model
from matinee.schema.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ASKED = Histories.of([1, 2, 99], [[1, 2, 3], [], [9, 24, 8, 2, 2, 2, 1, 4]])


class Listener(Silent):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def test_the_export_is_asked_where_there_is_one(exported: Callable[[str], Path]) -> None:
    listener = Listener()
    folder = exported("sse-pt")
    (auto, facts), (onnx, _), (torch, _) = (
        open_model(folder, engine=engine, threads=2, progress=listener)  # type: ignore[arg-type]
        for engine in ("auto", "onnx", "torch")
    )
    assert (auto.engine, onnx.engine, torch.engine) == ("onnx", "onnx", "torch")
    assert auto.name == onnx.name == torch.name == facts.model == "sse-pt"
    assert auto.history_limit == torch.history_limit == 6  # type: ignore[attr-defined]
    assert np.array_equal(auto.scores(ASKED), onnx.scores(ASKED))
    assert np.allclose(auto.scores(ASKED), torch.scores(ASKED), atol=1e-5)
    assert listener.said == []


@pytest.mark.parametrize(
    ("harm", "error", "said"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), ModelNotFoundError, "no model.onnx; run 'matinee export"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"?"), ModelDamagedError, "; export again"),
        (lambda folder: save_network(folder, make_network("sse-pt", seed=2)), ModelMismatchError, "exported from"),
    ],
    ids=["missing", "damaged", "of other weights"],
)  # fmt: skip
def test_pytorch_stands_in_for_an_export_that_cannot_be_asked_and_says_so(
    harm: Callable[[Path], None],
    error: type[Exception],
    said: str,
    exported: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(exported("sse-pt"), tmp_path / "model")
    harm(folder)
    with pytest.raises(error):
        open_model(folder, engine="onnx")
    listener = Listener()
    model, _ = open_model(folder, engine="auto", progress=listener)
    assert model.engine == "torch"
    (line,) = listener.said
    assert said in line
    assert line.endswith("until then PyTorch scores, and a rank may differ from a server's here and there")


def test_an_engine_that_is_none_is_refused(exported: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="engine = 'onx': expected one of auto, onnx, torch"):
        open_model(exported("sse-pt"), engine="onx")  # type: ignore[arg-type]
