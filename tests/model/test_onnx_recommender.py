"""An exported model asked as any model is: the shared tests, no PyTorch, and files that are not what they should be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from exported_model import make_network, save_network
from matinee.errors import ModelDamagedError, ModelMismatchError, ModelNotFoundError
from matinee.model.checkpoint import load
from matinee.model.histories import Histories
from matinee.model.onnx_recommender import OnnxRecommender, open_onnx
from matinee.model.recommender import Prior
from matinee.model.table import MODELS
from model_behaviour import Behaviour

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.model.table import ModelEntry


@pytest.mark.parametrize("entry", [MODELS["sse-pt"], MODELS["sasrec"]], ids=["sse-pt", "sasrec"])
class TestExported(Behaviour):
    """What concerns asking; training, settings and checkpoints are those of the network."""

    test_the_same_question_has_the_same_answer: Any = None
    test_a_checkpoint_is_the_model: Any = None
    test_what_it_learns_from_is_neither_kept_nor_changed: Any = None
    test_settings_are_frozen_plain_values: Any = None
    test_an_unknown_setting_is_refused: Any = None
    test_it_learns_what_follows_what: Any = None
    test_it_is_called_as_in_the_table: Any = None

    @pytest.fixture
    def model(self, entry: ModelEntry, exported: Callable[[str], Path]) -> OnnxRecommender:
        model, _ = open_onnx(exported(entry.name))
        # The shared tests have their own idea of what is known; ours is bent to it where only that is read.
        return model


def test_facts_and_prior_come_along(exported: Callable[[str], Path]) -> None:
    model, facts = open_onnx(exported("sse-pt"))
    assert model.prior == facts.prior == Prior(0.5, 86_400)
    assert facts.model == "sse-pt"
    assert model.settings.maxlen == 6
    original, _ = load(exported("sse-pt"))
    np.testing.assert_array_equal(model.known.users, original.known.users)
    np.testing.assert_array_equal(model.known.items, original.known.items)


def test_it_needs_no_pytorch(exported: Callable[[str], Path], tmp_path: Path) -> None:
    """Nor anything else that is not there to serve."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.onnx", "checkpoint.json"):
        shutil.copy(exported("sse-pt") / name, folder)
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxscript', 'mlflow', 'pyarrow', 'numba'): sys.modules[name] = None\n"
        "from matinee.model.histories import Histories\n"
        "from matinee.model.onnx_recommender import open_onnx\n"
        "model, _ = open_onnx(sys.argv[1])\n"
        "print(model.best(Histories.of([1, 99], [[1, 2], []]), 3)[0].tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    ids, _ = open_onnx(folder)[0].best(Histories.of([1, 99], [[1, 2], []]), 3)
    assert (done.stdout.strip(), done.stderr) == (str(ids.tolist()), "")


@pytest.fixture
def copied(exported: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of one's own."""
    return shutil.copytree(exported("sasrec"), tmp_path / "copied")


def test_what_is_missing_is_said(copied: Path) -> None:
    (copied / "model.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match=r"no model\.onnx; run 'matinee export"):
        open_onnx(copied)
    (copied / "checkpoint.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"no checkpoint\.json"):
        open_onnx(copied)


def test_an_export_of_other_weights_is_refused(copied: Path) -> None:
    save_network(copied, make_network("sasrec", seed=5))
    with pytest.raises(ModelMismatchError, match=r"model\.onnx: exported from weights \w{12}, checkpoint\.json speaks"):
        open_onnx(copied)


def _identity() -> bytes:
    """A graph that is none of ours."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20)])
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x04cos\nsystem\n", _identity()])
def test_what_is_no_export_ends_in_one_line(content: bytes, copied: Path) -> None:
    (copied / "model.onnx").write_bytes(content)
    with pytest.raises(ModelDamagedError, match=r"model\.onnx: not a model that Matinee exported") as caught:
        open_onnx(copied)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["matinee.maxlen", "matinee.known_items", "matinee.known_users"])
def test_untrue_texts_end_in_one_line(name: str, copied: Path) -> None:
    graph = onnx.load(copied / "model.onnx")
    for entry in graph.metadata_props:
        if entry.key == name:
            entry.value = "3:eA=="
    onnx.save(graph, copied / "model.onnx")
    with pytest.raises(ModelDamagedError, match="not a model that Matinee exported") as caught:
        open_onnx(copied)
    assert "\n" not in str(caught.value)


@settings(max_examples=40)
@given(data=st.data())
def test_any_damage_is_asked_or_refused(
    data: st.DataObject, exported: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A graph has no checksum of its own: what still loads must answer or fail in one line."""
    folder = tmp_path_factory.getbasetemp() / f"damaged-onnx-{os.getpid()}"
    shutil.copytree(exported("sasrec"), folder, dirs_exist_ok=True)
    content = bytearray((folder / "model.onnx").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    (folder / "model.onnx").write_bytes(content[:cut])
    try:
        model, _ = open_onnx(folder)
        scores = model.scores(Histories.of([1], [[2, 3]]))
    except (ModelDamagedError, ModelMismatchError) as error:
        complaint = str(error)
    else:
        assert scores.dtype == np.float32
        return
    assert "\n" not in complaint
