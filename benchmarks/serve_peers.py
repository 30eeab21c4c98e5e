"""What benchmarks/serve.py measures beside ours: an empty server, and the same ONNX file behind MLflow and LitServe.

    python benchmarks/serve_peers.py empty 9631

The peers answer for the same network and the same history and keep nothing: no histories, no counts, no events. MLflow
answers with all that the graph gives, so with 24,000 scores too, as it does for everybody.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

__all__ = ["behind", "wait_for"]

_PORT = 9632


@contextmanager
def behind(
    peer: str, model: Path, started: Callable[..., Any]
) -> Iterator[tuple[int, str, Callable[[int, list[int]], dict[str, Any]]]]:
    """A peer that serves the ONNX file of `model`: its port, its path, and a question in its own words."""
    if peer == "litserve":
        command = [sys.executable, str(Path(__file__).parent / "serve_litserve.py"), str(_PORT), str(model)]
        with started(command, _PORT) as port:
            yield port, "/predict", lambda user, history: {"user": user, "history": history}
        return
    with tempfile.TemporaryDirectory() as folder:
        _save_for_mlflow(model, Path(folder) / "mlflow")
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"{folder}/mlflow", "-p", str(_PORT),
                   "--env-manager", "local"]  # fmt: skip
        with started(command, _PORT) as port:
            yield (
                port,
                "/invocations",
                lambda user, history: {"inputs": {"items": [history], "lengths": [len(history)], "users": [user]}},
            )


def wait_for(port: int, process: subprocess.Popen[str], timeout_s: float = 120) -> None:
    """Until somebody accepts on `port`."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            time.sleep(2)  # LitServe and MLflow accept before their workers are up
            return
    raise RuntimeError(f"nobody answers on port {port}")


def _save_for_mlflow(model: Path, folder: Path) -> None:
    import onnx  # noqa: PLC0415 - the empty server must cost nothing
    from mlflow import onnx as mlflow_onnx  # noqa: PLC0415 - as above

    mlflow_onnx.save_model(onnx.load(model / "model.onnx"), str(folder))


def _empty(port: int) -> None:
    import uvicorn  # noqa: PLC0415 - as above

    answer = b'{"user":1,"items":[1,2,3,4,5,6,7,8,9,10],"known":true,"model":"none"}'

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        while (await receive()).get("more_body"):
            pass
        length = str(len(answer)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(app, port=port, log_level="error", access_log=False, lifespan="off", loop="uvloop", http="httptools")


if __name__ == "__main__":
    _empty(int(sys.argv[2]))
