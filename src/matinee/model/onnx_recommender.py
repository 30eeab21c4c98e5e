"""An exported model in ONNX Runtime: the same answers as the network it was, without PyTorch."""

from __future__ import annotations

import errno
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import onnxruntime

from matinee.errors import ModelDamagedError, ModelMismatchError, ModelNotFoundError
from matinee.model.checkpoint import CHECKPOINT, ONNX, CheckpointFacts, read_facts
from matinee.model.known_bits import unpack
from matinee.model.recommender import Known, Recommender, exactly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.histories import Histories

__all__ = ["OnnxRecommender", "OnnxSettings", "open_onnx"]

_BATCH: Final = 256  # histories a run
# A row's scores are the same bits whatever rows are asked about with it, so that a server and an evaluation cannot
# differ. Sums over 8 positions, 16, ... add up alike; over 7 or 11 ONNX Runtime adds in another order.
_WIDTH: Final = 8
# Name -> type and number of dimensions; what has a value of its own (k, bonus) is no input to ONNX Runtime.
_INPUTS: Final = {"items": ("tensor(int64)", 2), "lengths": ("tensor(int64)", 1), "users": ("tensor(int64)", 1)}
_OUTPUTS: Final = {
    "scores": ("tensor(float)", 2),
    "best_scores": ("tensor(float)", 2),
    "best_items": ("tensor(int64)", 2),
}
_QUIET: Final = 3  # errors only; what they say is in the exception too


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSettings:
    """How an exported model is run.

    Attributes:
        maxlen: events of a history that it looks at.
        threads: that share one question's work; 0 lets ONNX Runtime choose.
    """

    maxlen: int
    threads: int = 1


class OnnxRecommender(Recommender):
    """What `export_onnx` wrote; asked like any other model.

    Args:
        content: the file's bytes. A KeyError or ValueError says that they are no such file.
        threads: that share one question's work; 0 lets ONNX Runtime choose.

    Attributes:
        name: of the network that it was exported from.
        weights_sha256: of the checkpoint that it was exported from.
    """

    engine = "onnx"

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        self._content = content
        self._session = _session(content, threads)
        self._alone = onnxruntime.RunOptions()
        self._alone.only_execute_path_to_fetches = True  # whoever wants scores does not wait for a ranking
        texts = self._session.get_modelmeta().custom_metadata_map
        self.name = texts["matinee.model"]
        self.weights_sha256: str = texts["matinee.weights_sha256"]
        known = Known(unpack(texts["matinee.known_users"]), unpack(texts["matinee.known_items"]))
        super().__init__(OnnxSettings(maxlen=int(texts["matinee.maxlen"]), threads=threads), known)
        _check_shape(self._session, known.items.size)

    @property
    def history_limit(self) -> int:
        """How many events of a history the model looks at, from its end."""
        limit: int = self.settings.maxlen
        return limit

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """(n, known.items.size); see `Recommender.scores`."""
        scores = np.empty((len(asked), self.known.items.size), np.float32)
        items, lengths = asked.padded(self.settings.maxlen)
        items = np.pad(items, ((0, 0), (0, -items.shape[1] % _WIDTH)))
        # Rows of like length go together, so that little is padding.
        order = np.argsort(lengths, kind="stable")
        for first in range(0, len(asked), _BATCH):
            rows = order[first : first + _BATCH]
            width = max(1, -(-int(lengths[rows].max()) // _WIDTH)) * _WIDTH
            # One row alone would take another way through ONNX Runtime (a matrix times a vector).
            pair = rows if rows.size > 1 else rows.repeat(2)
            feeds = _feeds(items[pair, :width], lengths[pair], asked.users[pair])
            (answered,) = self._run(["scores"], feeds)
            scores[rows] = answered[: rows.size]
        return scores

    def best(
        self, asked: Histories, k: int, bonus: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The ids of each row's best `k` items, the best first, and what they score, ranked inside the graph.

        Args:
            asked: n people.
            k: 1 up to known.items.size.
            bonus: (known.items.size,), added to every row before ranking: the recency prior's weight * log(1 + count),
                which also makes items eligible that training has not seen (from the mean of the known ones' scores;
                -inf keeps one out, and so it should with id 0). None ranks known items by their scores alone.
        """
        items, lengths = asked.padded(self.settings.maxlen)
        feeds = _feeds(items, lengths, asked.users) | {"k": np.array([k], np.int64)}
        if bonus is not None:
            feeds["bonus"] = bonus
        scores, ids = self._run(["best_scores", "best_items"], feeds)
        return ids, scores

    def _run(self, names: list[str], feeds: dict[str, Any]) -> list[NDArray[Any]]:
        try:
            answers: list[NDArray[Any]] = self._session.run(names, feeds, self._alone)
        except Exception as error:  # noqa: BLE001 - its errors have no common base below Exception
            first = str(error).partition("\n")[0]
            raise ModelDamagedError(f"the exported model cannot be run ({first}); export again") from None
        return answers

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The file's bytes: (size,) uint8."""
        return {"onnx": np.frombuffer(self._content, np.uint8).copy()}

    @classmethod
    def from_arrays(cls, settings: Any, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Recommender."""
        (content,) = exactly(arrays, "onnx")
        if content.dtype != np.uint8 or content.ndim != 1:
            raise ValueError(f"onnx is {content.dtype} {content.shape}, expected bytes")
        model = cls(content.tobytes(), threads=settings.threads)
        if model.settings != settings or any(map(_differ, astuple(model.known), astuple(known))):
            raise ValueError("the file is of a model with other settings, or that knows other ids")
        return model


def open_onnx(folder: str | Path, *, threads: int = 1) -> tuple[OnnxRecommender, CheckpointFacts]:
    """The exported model in `folder`, from `model.onnx` and `checkpoint.json` alone, and the checkpoint's facts.

    Raises:
        ModelNotFoundError: one of the two is missing.
        ModelDamagedError: one is not what it should be.
        ModelMismatchError: they are of different trainings.
    """
    facts = read_facts(folder)
    path = Path(folder) / ONNX
    try:
        content = path.read_bytes()
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ModelNotFoundError(f"{folder}: no {ONNX}; run 'matinee export {folder}'") from None
        raise ModelDamagedError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        model = OnnxRecommender(content, threads=threads)
    except (ValueError, KeyError) as error:
        raise ModelDamagedError(f"{path}: not a model that Matinee exported ({error}); export again") from None
    if model.weights_sha256 != facts.weights_sha256:
        raise ModelMismatchError(
            f"{path}: exported from weights {model.weights_sha256[:12]}, {CHECKPOINT} speaks of "
            f"{facts.weights_sha256[:12]}; export again"
        )
    model.prior = facts.prior
    return model, facts


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Raises ValueError where `content` is no graph with our inputs and outputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads sleep: spinning, they take the core of whoever asks next, and an answer costs twice as much.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _QUIET
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - its errors have no common base below Exception
        raise ValueError(str(error).partition("\n")[0]) from None
    found = {put.name: (put.type, len(put.shape)) for put in session.get_inputs()}
    outputs = {put.name: (put.type, len(put.shape)) for put in session.get_outputs()}
    if found != _INPUTS or outputs != _OUTPUTS:
        raise ValueError(f"it takes {found or 'nothing'} and gives {outputs or 'nothing'}")
    return session


def _check_shape(session: onnxruntime.InferenceSession, rows: int) -> None:
    """Raises ValueError where the graph scores another number of items than it knows."""
    columns = {put.name: put.shape[1] for put in session.get_outputs()}["scores"]
    if columns != rows:
        raise ValueError(f"it scores {columns} items and knows of {rows}")


def _feeds(items: NDArray[np.int32], lengths: NDArray[np.int64], users: NDArray[np.int32]) -> dict[str, Any]:
    return {"items": items.astype(np.int64), "lengths": lengths, "users": users.astype(np.int64)}


def _differ(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    return not np.array_equal(one, other)
