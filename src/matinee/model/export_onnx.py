"""A network as one ONNX file that needs nothing else: any dense ids in, scores or the best k out.

What is folded in, so that a server without PyTorch has nothing to know: an unknown item of a history becomes UNK, an
unknown person the stand-in, no history at all one UNK. The last block looks from the last position only, and only the
item half of its state is multiplied with the catalogue. docs/export.md describes inputs and outputs.
"""

from __future__ import annotations

import copy
import logging
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from matinee.errors import UsageError
from matinee.model.atomic import write_atomically
from matinee.model.known_bits import pack
from matinee.model.neural import NeuralRecommender

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.model.checkpoint import CheckpointFacts
    from matinee.model.recommender import Recommender

__all__ = ["OPSET", "export_onnx"]

OPSET: Final = 20  # what ONNX Runtime 1.20 knows; 23 has attention as one operator and measures no faster
_USUAL_K: Final = 10
_TABLE: Final = "network.items.weight"  # its name in the traced graph


def export_onnx(model: Recommender, facts: CheckpointFacts, path: Path) -> None:
    """Write `model`, whose checkpoint has these facts, to `path`; complete or not at all.

    Raises:
        UsageError: the model is no network.
        DiskFullError: no space left.
    """
    if not isinstance(model, NeuralRecommender):
        raise UsageError(f"{model.name} is counted, not a network: ONNX takes sse-pt and sasrec; use the checkpoint")
    graph = _trace(Answering(model).eval())
    for clutter in (graph.graph, *graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        del clutter.metadata_props[:]  # source lines and paths of the machine that exported
    _add_ranking(graph.graph, model)
    texts = {
        "matinee.model": model.name,
        "matinee.maxlen": str(model.history_limit),
        "matinee.weights_sha256": facts.weights_sha256,
        "matinee.known_users": pack(model.known.users),
        "matinee.known_items": pack(model.known.items),
    }
    helper.set_model_props(graph, texts)
    graph.producer_name, graph.producer_version = "matinee", facts.code
    onnx.checker.check_model(graph)
    write_atomically(path, graph.SerializeToString(deterministic=True))


class Answering(nn.Module):
    """The model as a server asks it: any dense ids in, the state out that is multiplied with every item's vector.

    The rows of items that are not known become the mean of the known ones, which makes their scores the mean of the
    known items' scores: what the recency prior adds to (`matinee.model.recommender.Prior`).
    """

    known_items: Tensor
    known_users: Tensor
    stand_in: Tensor

    def __init__(self, model: NeuralRecommender) -> None:
        super().__init__()
        self.network = copy.deepcopy(model.network).cpu().requires_grad_(False)
        self.item_dim: int = model.settings.item_dim
        self.register_buffer("known_items", torch.from_numpy(model.known.items))
        self.register_buffer("known_users", torch.from_numpy(model.known.users))
        self.register_buffer("stand_in", self.network.stand_in())
        vectors = self.network.items.weight
        unk = vectors[0].clone()
        vectors[~self.known_items] = vectors[self.known_items].mean(0) if self.known_items.any() else 0.0
        # Row 0 is what an unknown item of a history looks like; nobody reads its score.
        vectors[0] = unk

    def forward(self, items: Tensor, lengths: Tensor, users: Tensor) -> Tensor:
        """Items (B, L), right-padded, lengths (B,) and users (B,), int64, to states (B, item_dim)."""
        items, users = _known_or_0(items, self.known_items), _known_or_0(users, self.known_users)
        states = self.network.last(items, lengths.clamp(min=1), users, self.stand_in)
        return states[:, : self.item_dim]


def _known_or_0(ids: Tensor, known: Tensor) -> Tensor:
    inside = torch.where((ids >= 0) & (ids < known.shape[0]), ids, 0)
    return torch.where(known[inside], inside, 0)


def _trace(answering: nn.Module) -> onnx.ModelProto:
    """The graph of `answering` with batch and length left open."""
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    example = (torch.tensor([[1, 1, 1], [1, 1, 0]]), torch.tensor([3, 2]), torch.tensor([1, 2]))
    # It tells everybody without torchvision that it skips torchvision's operators.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        # PyTorch's own exporter walks over a class that PyTorch has deprecated.
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
        # All three inputs have the same batch, which it mentions.
        warnings.filterwarnings("ignore", ".*axis name: batch will not be used", UserWarning)
        program = torch.onnx.export(
            answering,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=["items", "lengths", "users"],
            output_names=["state"],
            dynamic_shapes=({0: batch, 1: length}, {0: batch}, {0: batch}),
            verbose=False,
        )
    assert program is not None  # noqa: S101 - None is what the older exporter returns
    proto: onnx.ModelProto = program.model_proto
    return proto


def _add_ranking(graph: Any, model: NeuralRecommender) -> None:
    """From `state` to `scores`, -inf where an item is not known, and to the best `k` of all scores plus `bonus`.

    `k` and `bonus` have usual values, so that most callers need not give them: 10, and 0 for known items, -inf for all
    others. An item's place in the table is its id, so `best_items` are ids. Items are scored in the very table in which
    histories look them up; each way out has a product of its own, since a caller asks for one of them.
    """
    (table,) = (tensor.name for tensor in graph.initializer if tensor.name.endswith(_TABLE))
    rows = model.known.items.size
    mask = torch.where(torch.from_numpy(model.known.items), 0.0, -torch.inf).numpy()
    usual_k = np.array([min(_USUAL_K, rows)], np.int64)
    graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in (("mask", mask), ("bonus", mask), ("k", usual_k))
    )
    graph.input.append(helper.make_tensor_value_info("bonus", TensorProto.FLOAT, [rows]))
    graph.input.append(helper.make_tensor_value_info("k", TensorProto.INT64, [1]))
    graph.node.append(helper.make_node("Gemm", ["state", table, "mask"], ["scores"], transB=1))
    graph.node.append(helper.make_node("Gemm", ["state", table, "bonus"], ["raised"], transB=1))
    graph.node.append(helper.make_node("TopK", ["raised", "k"], ["best_scores", "best_items"]))
    del graph.output[:]
    for name, kind, columns in (
        ("scores", TensorProto.FLOAT, rows),
        ("best_scores", TensorProto.FLOAT, "best"),
        ("best_items", TensorProto.INT64, "best"),
    ):
        graph.output.append(helper.make_tensor_value_info(name, kind, ["batch", columns]))
