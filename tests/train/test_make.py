"""What is made of a network, all of it for real: the checkpoint, the picture, and the export that answers alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matinee.model import checkpoint
from matinee.model.histories import Histories
from matinee.model.onnx_recommender import open_onnx
from matinee.schema.progress import Silent
from matinee.train.make import make
from matinee.train.plan import Plan
from matinee.train.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version


def test_a_network_is_exported_as_it_was_saved(walked: Version, tmp_path: Path, tiny: dict[str, object]) -> None:
    plan = Plan.of("sse-pt", tiny, "0.5:7")
    watch = Watch(Silent(), plan.training.metric, plan.training.batch_size)
    made = make(plan, walked, tmp_path, watch=watch, progress=Silent())
    assert made.files == ("checkpoint.json", "model.safetensors", "epochs.jsonl", "epochs.png", "model.onnx")
    assert all((tmp_path / name).is_file() for name in made.files)
    model, facts = checkpoint.load(tmp_path)
    assert (facts.epoch, facts.metrics, facts.prior) == (3, made.metrics, plan.fixed_prior)
    asked = Histories.of([1, 2, 0], [[1, 2, 3], [], [19]])
    np.testing.assert_allclose(open_onnx(tmp_path)[0].scores(asked), model.scores(asked), atol=1e-4)
