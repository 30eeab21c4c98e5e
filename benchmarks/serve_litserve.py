"""The ONNX file of a model behind LitServe, batched as ours is or not at all.

    python benchmarks/serve_litserve.py 9632 MODEL_FOLDER BATCH WORKERS THREADS QUEUE

A file of its own, as LitServe hands the class to processes that look it up where it lies.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import litserve

from matinee.model.histories import Histories
from matinee.model.onnx_recommender import open_onnx

if TYPE_CHECKING:
    from collections.abc import Sequence

_K = 10
_WAIT_S = 0.002  # for a batch to fill


class Api(litserve.LitAPI):  # type: ignore[misc]  # it has no types
    """The best 10 items for a user and a history: dense ids, ranked inside the graph."""

    def setup(self, device: str) -> None:
        """Load the model."""
        del device
        self.model, _ = open_onnx(sys.argv[2], threads=int(sys.argv[5]))

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - LitServe reads them
        """A question."""
        return request["user"], request["history"]

    def batch(self, inputs: Sequence[tuple[int, list[int]]]) -> list[tuple[int, list[int]]]:
        """Questions that came together."""
        return list(inputs)

    def predict(self, x: Any) -> list[list[int]] | list[int]:
        """The best items of each question of a batch, or of the only one."""
        asked: list[tuple[int, list[int]]] = x if isinstance(x, list) else [x]
        best = self.model.best(Histories.of([user for user, _ in asked], [history for _, history in asked]), _K)[0]
        items: list[list[int]] = best.tolist()
        return items if isinstance(x, list) else items[0]

    def unbatch(self, output: list[list[int]]) -> list[list[int]]:
        """One answer each."""
        return output

    def encode_response(self, output: list[int]) -> dict[str, Any]:
        """As JSON."""
        return {"items": output}


if __name__ == "__main__":
    _batch, _workers = int(sys.argv[3]), int(sys.argv[4])
    _api = Api(max_batch_size=_batch, batch_timeout=_WAIT_S if _batch > 1 else 0.0)
    _fast = sys.argv[6] == "zeromq"
    _server = litserve.LitServer(_api, accelerator="cpu", workers_per_device=_workers, fast_queue=_fast)
    _server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="error", generate_client_file=False)
