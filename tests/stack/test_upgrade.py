"""Data folders of earlier releases, opened by the Matinee of today: nothing in them may be lost."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import matinee
from matinee import database
from matinee.stack import running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("stack")
FOLDERS = sorted((Path(__file__).parent / "fixtures").glob("stack-*.tar.xz"))


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name.partition(".")[0])
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path / "data", filter="tar")
    yield tmp_path / "data"
    matinee.down(data_dir=tmp_path / "data")


def test_a_folder_of_an_earlier_release_opens(data_dir: Path) -> None:
    with running(data_dir, ["mlflow"]) as stack:
        (stored,) = matinee.versions.list(data_dir=data_dir)
        matinee.versions.verify(stored.id, data_dir=data_dir)
        assert (stored.dataset, stored.rows) == ("ratings", 8)
        (known,) = database.versions(stack.postgres_url, "ratings")
        assert known.id == stored.id
        assert database.user(stack.postgres_url, "ratings", 7) is not None
        with httpx.Client(base_url=stack.mlflow_url, trust_env=False, timeout=30) as client:
            (run,) = runs(client)
            assert stored.id in str(run["inputs"])
            assert all(content for content in artifacts(client, run["info"]["run_id"]))


def runs(client: httpx.Client) -> list[dict[str, Any]]:
    """Every run of every experiment."""
    api = "/api/2.0/mlflow"
    said = client.post(f"{api}/experiments/search", json={"max_results": 100}).raise_for_status().json()
    ids = [experiment["experiment_id"] for experiment in said["experiments"]]
    found = client.post(f"{api}/runs/search", json={"experiment_ids": ids}).raise_for_status().json()
    return list(found.get("runs", []))


def artifacts(client: httpx.Client, run: str) -> list[bytes]:
    """The bytes of what MLflow keeps for a run in the object store; there is at least one file."""
    said = client.get("/api/2.0/mlflow/artifacts/list", params={"run_id": run}).raise_for_status().json()
    paths = [item["path"] for item in said["files"] if not item["is_dir"]]
    assert paths
    found = [client.get("/get-artifact", params={"run_uuid": run, "path": path}) for path in paths]
    return [answer.raise_for_status().content for answer in found]
