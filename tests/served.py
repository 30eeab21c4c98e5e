"""Servers for tests: started as programs, asked over HTTP, stopped or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from matinee.model import checkpoint
from matinee.model.checkpoint import CheckpointFacts
from matinee.processes import end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.model.recommender import Recommender
    from matinee.version import Version

__all__ = ["Server", "Starter", "save", "wait_until"]


@dataclass
class Server:
    """A server that was started as a program; `stop` drains it, `kill` does not."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    errors: Path
    data_dir: Path

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, **asked: Any) -> dict[str, Any]:
        return self.post("/v1/recommend", asked)

    def tell(self, **event: Any) -> dict[str, Any]:
        return self.post("/v1/events", event)

    def post(self, path: str, body: Any, status: int = 200) -> dict[str, Any]:
        answered = self.client.post(path, json=body)
        assert answered.status_code == status, answered.text
        answer: dict[str, Any] = answered.json()
        return answer

    def history(self, user: object) -> list[Any]:
        found: list[Any] = self.client.get(f"/v1/users/{user}/history", params={"last": 1000}).json()["items"]
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


_START = """
import sys, json, signal
from pathlib import Path
from matinee.serve.stage import serve_in
url, model, options = json.loads(sys.stdin.read())
def ready(address):
    print(address, flush=True)
for name in ("data_dir", "version"):
    options[name] = Path(options[name])
try:
    serve_in(url, Path(model), ready=ready, **options)
except Exception as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)
"""


class Starter:
    """Starts servers on one data folder; `stop` ends all of them."""

    def __init__(self, url: str, version: Version, folder: Path) -> None:
        self.url, self.version, self.folder = url, version, folder
        self.servers: list[Server] = []

    def __call__(self, model: Path, *, token: str | None = None, **options: Any) -> Server:
        errors = self.folder / f"server-{len(self.servers)}.err"
        options = {
            "port": 0,
            "data_dir": str(self.folder / "data"),
            "version": str(self.version.folder),
            "token": token,
        } | options
        with errors.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps([self.url, str(model), options]).encode())
        process.stdin.close()
        address = process.stdout.readline().decode().strip()
        process.stdout.close()
        if not address:
            process.wait(30)
        assert address, errors.read_text()
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=address, timeout=60, headers=headers, trust_env=False)
        self.servers.append(Server(process, client, errors, self.folder / "data"))
        return self.servers[-1]

    def stop(self) -> None:
        for server in self.servers:
            server.client.close()
            end(server.process, patience_s=40)


def save(folder: Path, model: Recommender, version: Version) -> Path:
    """The model's folder, as training leaves it."""
    facts = CheckpointFacts.of(
        model,
        dataset=version.name,
        version=version.id,
        manifest_sha256=version.sha256,
        users=version.manifest.users,
        items=version.manifest.items,
    )
    facts = checkpoint.save(folder, model, facts)
    if model.name == "sse-pt":
        from matinee.model.export_onnx import export_onnx

        export_onnx(model, facts, folder / "model.onnx")
    return folder


def wait_until(holds: Callable[[], bool], *, timeout_s: float = 30) -> None:
    """Poll."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.02)
