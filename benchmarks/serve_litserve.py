"""The ONNX file of a model behind LitServe, batched as ours is; `pip install litserve` first.

    python benchmarks/serve_litserve.py 9632 MODEL_FOLDER

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

    import numpy as np

_BATCH, _K = 64, 10


class Api(litserve.LitAPI):  # type: ignore[misc]  # it has no types
    """The best 10 items for a user and a history."""

    def setup(self, device: str) -> None:
        """Load the model."""
        del device
        self.model, _ = open_onnx(sys.argv[2], threads=2)

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - LitServe reads them
        """A question."""
        return request["user"], request["history"]

    def batch(self, inputs: Sequence[tuple[int, list[int]]]) -> Histories:
        """Questions that came together."""
        return Histories.of([user for user, _ in inputs], [history for _, history in inputs])

    def predict(self, x: Histories) -> np.ndarray:
        """The best items of each."""
        return self.model.best(x, _K)[0]

    def unbatch(self, output: np.ndarray) -> list[list[int]]:
        """One answer each."""
        items: list[list[int]] = output.tolist()
        return items

    def encode_response(self, output: list[int]) -> dict[str, Any]:
        """As JSON."""
        return {"items": output}


if __name__ == "__main__":
    api = Api(max_batch_size=_BATCH, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(port=int(sys.argv[1]), log_level="error", generate_client_file=False)
