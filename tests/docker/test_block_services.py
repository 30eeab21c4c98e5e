"""The services of docker-compose-block.yaml as plain processes: their commands, variables, secrets and health checks.

No container is started. What stands in the file is run on this machine's loopback, with its names of hosts, folders and
ports replaced by those of the test; Postgres is ours instead of its image's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from compose_file import FOLDER, load
from matinee.processes import end
from matinee.stack import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services import PostgresServer

pytestmark = pytest.mark.xdist_group("postgres")

PATIENCE_S = 120
INNER = ("master.port", "filer.port", "volume.port", "admin.port")  # SeaweedFS's own, with another each for gRPC


class Block:
    """The file's services on this machine."""

    def __init__(self, folder: Path, server: PostgresServer, address: str) -> None:
        subprocess.run(["bash", FOLDER / "make-secrets.sh", folder / "secrets"], check=True, stdout=subprocess.DEVNULL)
        self.folder = folder
        self.ports = {name: free_port() for name in ("s3", "mlflow", "jupyter")}
        environment = {"SECRETS": str(folder / "secrets"), "MLFLOW_PORT": str(self.ports["mlflow"])}
        self.services = load("docker-compose-block.yaml", environment)["services"]
        self.replaced = {
            "@postgres:5432/mlflow": f"@127.0.0.1:{server.port}/{address.rpartition('/')[2]}",
            "http://s3:8333": f"http://127.0.0.1:{self.ports['s3']}",
            "http://mlflow:5000": f"http://127.0.0.1:{self.ports['mlflow']}",
            "/run/secrets": str(folder / "secrets"),
            "/data": str(folder / "data"),
            "/tmp/jupyter": str(folder / "runtime"),
            "0.0.0.0": "127.0.0.1",
            "127.0.0.1:8333": f"127.0.0.1:{self.ports['s3']}",
            "127.0.0.1:5000": f"127.0.0.1:{self.ports['mlflow']}",
            "127.0.0.1:8888": f"127.0.0.1:{self.ports['jupyter']}",
            "port=8333": f"port={self.ports['s3']}",
            "port=8888": f"port={self.ports['jupyter']}",
        }
        for name in ("pgpass", "rclone_config"):
            path = folder / "secrets" / name
            path.write_text(self.here(path.read_text()))
        # The passwords of the file's own Postgres are made by its image; ours has one already.
        word = server.password.replace("\\", "\\\\").replace(":", "\\:")
        (folder / "secrets" / "pgpass").write_text(f"127.0.0.1:{server.port}:*:{postgres.USER}:{word}\n")

    def here(self, text: str) -> str:
        for theirs, ours in self.replaced.items():
            text = text.replace(theirs, ours)
        return text

    def environment(self, name: str) -> dict[str, str]:
        told = {key: self.here(str(value)) for key, value in self.services[name].get("environment", {}).items()}
        if name == "mlflow":
            told["MLFLOW_PORT"] = str(self.ports["mlflow"])
        scripts = str(Path(sys.executable).parent)
        return {"PATH": f"{scripts}:{os.environ['PATH']}", "HOME": str(self.folder / "data")} | told

    @contextmanager
    def running(self, name: str, *more: str) -> Iterator[str]:
        """The service, from when its own health check says that it is well."""
        argv = [self.here(word) for word in self.services[name]["command"]] + list(more)
        (self.folder / "data").mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                argv, env=self.environment(name), cwd=self.folder / "data", stdout=log, stderr=subprocess.STDOUT
            )
        try:
            deadline_s = time.monotonic() + PATIENCE_S
            while not self.is_well(name):
                assert process.poll() is None, (self.folder / f"{name}.log").read_text()[-2000:]
                assert time.monotonic() < deadline_s, (self.folder / f"{name}.log").read_text()[-2000:]
                time.sleep(0.2)
            secrets = [path.read_bytes().strip() for path in (self.folder / "secrets").iterdir()]
            argv_bytes = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert not any(secret in argv_bytes for secret in secrets)
            yield f"http://127.0.0.1:{self.ports[name]}"
        finally:
            end(process, patience_s=10)

    def is_well(self, name: str) -> bool:
        test: list[Any] = self.services[name]["healthcheck"]["test"]
        argv = [self.here(word) for word in test[1:]]
        done = subprocess.run(argv, env=self.environment(name), capture_output=True, timeout=30, check=False)
        return done.returncode == 0


@pytest.fixture
def block(tmp_path: Path, postgres_service: PostgresServer, database: str) -> Block:
    return Block(tmp_path, postgres_service, database)


def test_artifacts_go_through_mlflow_to_s3_and_jupyter_sees_the_bucket(block: Block) -> None:
    inner = [f"-{port}{kind}={free_port()}" for port in INNER for kind in ("", ".grpc")]
    with block.running("s3", f"-s3.port.grpc={free_port()}", *inner) as s3, block.running("mlflow") as mlflow:
        assert httpx.get(f"{s3}/mlflow").status_code == 403  # not without the keys
        listing = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
        assert httpx.get(listing).is_success
        assert httpx.get(listing, headers={"Host": "evil.example.org"}).status_code == 403
        url = f"{mlflow}/api/2.0/mlflow-artifacts/artifacts/1/told.txt"
        assert httpx.put(url, content=b"kept").is_success
        found = httpx.post(f"{mlflow}/api/2.0/mlflow/experiments/create", json={"name": "rehearsal"}).json()
        assert int(found["experiment_id"]) > 0  # written to Postgres with the password from its file
        environment = block.environment("jupyter")
        listed = subprocess.run(
            ["rclone", "lsf", "--recursive", "--files-only", "block:mlflow"],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert listed.stdout == "1/told.txt\n"
        ours = subprocess.run(
            ["matinee", "versions", "list", "--json"],
            env=environment, capture_output=True, text=True, check=True, timeout=60, cwd=block.folder,
        )  # fmt: skip
        assert ours.stdout == "[]\n"


def test_jupyter_asks_for_the_token_of_its_secret(block: Block) -> None:
    with block.running("jupyter", "--allow-root") as url:
        token = (block.folder / "secrets" / "jupyter_token").read_text()
        assert httpx.get(f"{url}/api/contents").status_code == 403
        assert httpx.get(f"{url}/api/contents", headers={"Authorization": f"token {token}"}).is_success


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
