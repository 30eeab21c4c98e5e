"""The same ONNX file behind MLflow and LitServe, at each setting that could be a peer's best on two cores.

They answer for the same user and the same history and keep nothing: no histories, no counts, no events. All of them
rank inside the graph. MLflow's ONNX flavour answers with whatever the graph gives, so with 24,000 scores too; *cut to
the list* is another file, the same graph without its other outputs, which somebody has to think of.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import onnx
from mlflow import onnx as mlflow_onnx

from serve_programs import BENCHMARKS, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PEERS", "Peer", "behind"]

_PORT = 9632
_BATCH = 64  # as ours


class Peer:
    """One way to serve the file.

    Attributes:
        path: that is asked.
    """

    path: str

    def command(self, folder: Path) -> list[str]:
        """What starts it; `folder` holds what `prepare` has left."""
        raise NotImplementedError

    def prepare(self, model: Path, folder: Path) -> None:
        """Whatever it needs from the model's folder."""

    def question(self, user: int, history: list[int]) -> bytes:
        """A question in its own words; dense ids."""
        raise NotImplementedError

    def items(self, body: bytes) -> list[int]:
        """The list in an answer."""
        raise NotImplementedError


class _MLflow(Peer):
    """`mlflow models serve` of MLflow's ONNX flavour, one thread a run (its server takes every request to a thread)."""

    path = "/invocations"

    def __init__(self, workers: int, *, whole: bool = False) -> None:
        self._workers, self._whole = workers, whole

    def prepare(self, model: Path, folder: Path) -> None:
        graph = onnx.load(model / "model.onnx")
        if not self._whole:
            for put in [put for put in graph.graph.output if put.name != "best_items"]:
                graph.graph.output.remove(put)
        options = {"intra_op_num_threads": 1, "extra_session_config": {"session.intra_op.allow_spinning": "0"}}
        mlflow_onnx.save_model(graph, str(folder / "mlflow"), onnx_session_options=options)

    def command(self, folder: Path) -> list[str]:
        return [
            sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "mlflow"), "-p", str(_PORT),
            "-w", str(self._workers), "--env-manager", "local",
        ]  # fmt: skip

    def question(self, user: int, history: list[int]) -> bytes:
        return json.dumps({"inputs": {"items": [history], "lengths": [len(history)], "users": [user]}}).encode()

    def items(self, body: bytes) -> list[int]:
        found: Any = json.loads(body)["predictions"]
        items: list[int] = found["best_items"][0]
        return items


class _LitServe(Peer):
    """`serve_litserve.py`."""

    path = "/predict"

    def __init__(self, workers: int, *, batch: int = _BATCH, queue: str = "manager") -> None:
        self._workers, self._batch, self._queue = workers, batch, queue

    def prepare(self, model: Path, folder: Path) -> None:
        (folder / "model").symlink_to(model)

    def command(self, folder: Path) -> list[str]:
        threads = 2 // self._workers
        words = [_PORT, folder / "model", self._batch, self._workers, threads, self._queue]
        return [sys.executable, str(BENCHMARKS / "serve_litserve.py"), *map(str, words)]

    def question(self, user: int, history: list[int]) -> bytes:
        return json.dumps({"user": user, "history": history}).encode()

    def items(self, body: bytes) -> list[int]:
        items: list[int] = json.loads(body)["items"]
        return items


PEERS: dict[str, dict[str, Peer]] = {
    "mlflow": {"1 worker": _MLflow(1, whole=True), "2 workers": _MLflow(2, whole=True)},
    "mlflow, graph cut to the list": {"1 worker": _MLflow(1), "2 workers": _MLflow(2)},
    "litserve": {
        "one by one, 1 worker": _LitServe(1, batch=1),
        "batches, 1 worker": _LitServe(1),
        "batches, 1 worker, ZeroMQ": _LitServe(1, queue="zeromq"),
        "batches, 2 workers, ZeroMQ": _LitServe(2, queue="zeromq"),
    },
}


@contextmanager
def behind(peer: Peer, model: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """The address and the pid of a peer that serves the ONNX file of `model`; `folder` is its own, and new."""
    folder.mkdir()
    peer.prepare(model, folder)
    url = f"http://127.0.0.1:{_PORT}"
    with started(peer.command(folder), f"{url}/health", folder / "log") as pid:
        yield url, pid
