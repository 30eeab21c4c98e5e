"""The file that MLflow keeps with a model and runs to serve it: raw ids in, ranked raw ids out.

It stands alone: ONNX Runtime, NumPy and pyarrow are all it needs, neither Matinee nor PyTorch. MLflow runs it as a
script when the model is loaded ("models from code"), so nothing of it is pickled.

One question is a record, a batch a list of records (or a DataFrame with these columns):

    user           a raw id; one that the model has not met, or none at all, is a stranger
    history        raw ids of what the person did, the oldest first; what the model has not met counts as unknown
    k              how many items, 10 where it is missing
    exclude_seen   leave out what is in the history; true where it is missing

The answer is a list of records: `items`, raw ids, the best first, and their `scores`. The recency prior is not in it:
it needs counts of the moment, which a server keeps (docs/export.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from pandas import DataFrame  # noqa: TC002 - MLflow reads the annotation, and asks nothing of a DataFrame's columns
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["RankingModel"]

_AT_ONCE = 256  # questions a run
_FIELDS = {"user", "history", "k", "exclude_seen"}


class RankingModel(PythonModel):
    """An exported network between two id maps."""

    def load_context(self, context: Any) -> None:
        """Open the artifacts that `matinee.model.pyfunc.artifacts` names."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        self.session = onnxruntime.InferenceSession(
            context.artifacts["model"], options, providers=["CPUExecutionProvider"]
        )
        self.maxlen = int(self.session.get_modelmeta().custom_metadata_map["matinee.maxlen"])
        self.users, _ = _id_map(context.artifacts["users"])
        self.items, self.raw_items = _id_map(context.artifacts["items"])
        columns = {put.name: put.shape[1] for put in self.session.get_outputs()}["scores"]
        if columns != len(self.raw_items):
            raise ValueError(f"the model scores {columns - 1} items, the id map has {len(self.raw_items) - 1}")

    def predict(self, context: Any, model_input: DataFrame, params: Any = None) -> list[dict[str, list[Any]]]:
        """Answer each question: those of a list and of a DataFrame alike; see the module."""
        del context, params
        rows = [_checked(row) for row in _records(model_input)]
        return [answer for at in range(0, len(rows), _AT_ONCE) for answer in self._answer(rows[at : at + _AT_ONCE])]

    def _answer(self, rows: list[dict[str, Any]]) -> Iterable[dict[str, list[Any]]]:
        histories = [[_dense(self.items, item) for item in row["history"]] for row in rows]
        # What is left out afterwards has to be asked for as well.
        hidden = [{*history} if row["exclude_seen"] else set() for row, history in zip(rows, histories, strict=True)]
        deepest = max(row["k"] + len(out) for row, out in zip(rows, hidden, strict=True))
        feeds = {
            "items": _padded([history[-self.maxlen :] for history in histories]),
            "lengths": np.array([min(len(history), self.maxlen) for history in histories], np.int64),
            "users": np.array([_dense(self.users, row["user"]) for row in rows], np.int64),
            "k": np.array([min(deepest, len(self.raw_items))], np.int64),
        }
        scores, best = self.session.run(["best_scores", "best_items"], feeds)
        for row, out, ids, worth in zip(rows, hidden, best.tolist(), scores.tolist(), strict=True):
            ranked = zip(ids, worth, strict=True)
            kept = [(item, score) for item, score in ranked if item not in out and score > -math.inf][: row["k"]]
            yield {"items": [self.raw_items[item] for item, _ in kept], "scores": [score for _, score in kept]}


def _id_map(path: str) -> tuple[dict[Any, int], list[Any]]:
    """Raw id to dense id, and the raw ids by dense id, nobody's at 0."""
    table = parquet.read_table(path, columns=["id", "raw"]).sort_by("id")
    raw = table.column("raw").to_pylist()
    if table.column("id").to_pylist() != [*range(1, len(raw) + 1)]:
        raise ValueError(f"{path}: dense ids are not 1 to {len(raw)}")
    return dict(zip(raw, range(1, len(raw) + 1), strict=True)), [None, *raw]


def _records(asked: Any) -> list[Any]:
    """The questions of a list, a DataFrame, or a single record."""
    if hasattr(asked, "to_dict") and hasattr(asked, "columns"):
        return list(asked.to_dict(orient="records"))
    return [asked] if isinstance(asked, dict) else list(asked)


def _checked(row: Any) -> dict[str, Any]:
    """A question with all its fields; raises ValueError, which MLflow's server answers with."""
    if not isinstance(row, dict):
        raise ValueError(f"a question is {row!r}, expected a record with user and history")  # noqa: TRY004 - as below
    unknown = sorted(str(name) for name in row.keys() - _FIELDS)
    if unknown:
        raise ValueError(f"field {unknown[0]!r} is unknown; known are {', '.join(sorted(_FIELDS))}")
    history: Any = row.get("history")
    k: Any = row.get("k")
    exclude: Any = row.get("exclude_seen")
    if _is_nothing(history):
        history = []
    if isinstance(history, str) or not hasattr(history, "__iter__"):
        raise ValueError(f"history is {history!r}, expected a list of ids")
    k = 10 if _is_nothing(k) else int(k)
    if k < 1:
        raise ValueError(f"k is {k}, expected 1 or more")
    return {
        "user": row.get("user"),
        "history": list(history),
        "k": k,
        "exclude_seen": True if _is_nothing(exclude) else bool(exclude),
    }


def _dense(ids: Mapping[Any, int], raw: Any) -> int:
    """The dense id; 0 for what is unknown. '7', 7 and 7.0 are the same id, whichever kind the map has."""
    if isinstance(raw, np.generic):
        raw = raw.item()
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if not isinstance(raw, (str, int)):
        return 0
    found = ids.get(raw)
    if found is None:
        other: Any = str(raw) if isinstance(raw, int) else int(raw) if raw.removeprefix("-").isdecimal() else None
        found = ids.get(other)
    return found or 0


def _padded(histories: list[list[int]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(n, the longest), padded with 0 on the right."""
    padded = np.zeros((len(histories), max(1, *map(len, histories))), np.int64)
    for row, history in zip(padded, histories, strict=True):
        row[: len(history)] = history
    return padded


def _is_nothing(value: Any) -> bool:
    """None, or the NaN that a DataFrame has where a field is missing."""
    return value is None or (isinstance(value, float) and math.isnan(value))


set_model(RankingModel())
