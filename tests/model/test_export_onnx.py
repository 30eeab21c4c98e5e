"""The exported graph against PyTorch: the same scores, the same lists, for anybody with any history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest

from exported_model import make_network, save_network
from matinee.errors import UsageError
from matinee.model.agreement import compare, random_histories
from matinee.model.checkpoint import load
from matinee.model.export_onnx import OPSET, export_onnx
from matinee.model.histories import Histories
from matinee.model.onnx_recommender import OnnxRecommender, open_onnx
from toy_model import facts_of, make_toy

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.model.neural import NeuralRecommender

NETWORKS = pytest.mark.parametrize("name", ["sse-pt", "sasrec"])


def _agree(model: NeuralRecommender, exported: OnnxRecommender) -> None:
    found = compare(model, exported, random_histories(model.known, model.settings.maxlen, 1_000))
    assert found.scale > 0.5  # of nothing but noise all would be small
    assert found.difference < 1e-4
    assert found.same_lists == 1_000


@NETWORKS
def test_a_thousand_random_histories_have_the_same_answers(name: str, exported: Callable[[str], Path]) -> None:
    model, _ = load(exported(name))
    _agree(model, open_onnx(exported(name))[0])  # type: ignore[arg-type]


def test_the_published_form_at_a_middling_size(tmp_path: Path) -> None:
    sizes = {"maxlen": 50, "item_dim": 50, "user_dim": 50, "blocks": 3, "heads": 2, "norm": "query"}
    model = make_network("sse-pt", users=900, items=1_700, stranger="clip", loss="softmax", **sizes)
    path = tmp_path / "model.onnx"
    export_onnx(model, save_network(tmp_path, model), path)
    _agree(model, OnnxRecommender(path.read_bytes(), threads=2))


@NETWORKS
def test_batch_and_length_are_open(name: str, exported: Callable[[str], Path]) -> None:
    folder = exported(name)
    model, _ = load(folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    chance = np.random.default_rng(0)
    for batch, length in ((1, 1), (1, 6), (2, 3), (7, 6), (40, 2)):
        items = chance.integers(1, 24, (batch, length))
        lengths = chance.integers(0, length, batch, endpoint=True)
        items[np.arange(length) >= lengths[:, None]] = 0
        users = chance.integers(0, 99, batch)
        # k and bonus have values of their own.
        scores, best_scores, best = session.run(None, {"items": items, "lengths": lengths, "users": users})
        rows = [row[:size].tolist() for row, size in zip(items, lengths, strict=True)]
        np.testing.assert_allclose(scores, model.scores(Histories.of(users.tolist(), rows)), atol=1e-5)
        np.testing.assert_array_equal(best, np.argsort(-scores, axis=1, kind="stable")[:, :10])
        np.testing.assert_array_equal(best_scores, np.take_along_axis(scores, best, axis=1))


@NETWORKS
def test_the_prior_is_added_before_ranking(name: str, exported: Callable[[str], Path]) -> None:
    """By the rule of `matinee.model.recommender.Prior`: what training has not seen starts from the known ones' mean."""
    model, _ = open_onnx(exported(name))
    asked = random_histories(model.known, 6, 50)
    bonus = np.log1p(np.random.default_rng(0).integers(0, 9, model.known.items.size)).astype(np.float32)
    bonus[0] = -np.inf
    scores = model.scores(asked)
    means = np.where(model.known.items, scores, 0).sum(axis=1) / model.known.items.sum()
    raised = np.where(model.known.items, scores, means[:, None]) + bonus
    expected = np.argsort(-raised, axis=1, kind="stable")[:, :7]
    assert not model.known.items[expected].all()
    ids, worth = model.best(asked, 7, bonus)
    np.testing.assert_allclose(worth, np.take_along_axis(raised, expected, axis=1), atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(raised, ids, axis=1), worth, atol=1e-5)


def test_it_tells_what_it_is_and_not_where_it_was_made(exported: Callable[[str], Path]) -> None:
    content = (exported("sse-pt") / "model.onnx").read_bytes()
    graph = onnx.load_from_string(content)
    onnx.checker.check_model(graph)
    assert [entry.version for entry in graph.opset_import if not entry.domain] == [OPSET]
    texts = {entry.key: entry.value for entry in graph.metadata_props}
    assert texts["matinee.model"] == "sse-pt"
    assert texts["matinee.maxlen"] == "6"
    for place in (Path.home(), Path(__file__).parent.parent.parent, Path(onnx.__file__).parent):
        assert str(place).encode() not in content
    assert b".py" not in content  # no line of a trace


def test_the_catalogue_is_there_once(exported: Callable[[str], Path]) -> None:
    """Items are looked up and scored in the same table, of the item half only."""
    graph = onnx.load(exported("sse-pt") / "model.onnx").graph
    tables = [[*table.dims] for table in graph.initializer if {25} & {*table.dims} and len(table.dims) > 1]
    assert tables == [[25, 16]]


def test_a_counted_model_is_no_graph(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="toy is counted, not a network"):
        export_onnx(make_toy(), facts_of(make_toy()), tmp_path / "model.onnx")
    assert not [*tmp_path.glob("*.onnx")]
