"""Data versions in a real MLflow on real Postgres and S3."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import matinee
from matinee.errors import TrackingError, VersionNotFoundError
from matinee.schema.certificate import Certificate
from matinee.schema.manifest import Manifest
from matinee.stack.folders import Folders
from matinee.stack.supervisor import Supervisor
from matinee.train.track import log_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from matinee.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture
def client(stack_service: Stack) -> MlflowClient:
    from mlflow import MlflowClient  # after `track`, which has to come first

    return MlflowClient(stack_service.mlflow_url)


@pytest.fixture
def version(small_logs: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A version of a data set of the test's own."""
    name = request.node.name.removeprefix("test_")
    return matinee.transform(small_logs["ratings.csv"], out=tmp_path / "version", name=name).folder


def test_a_version_is_a_dataset_input_with_its_hash(
    client: MlflowClient, stack_service: Stack, version: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracked = log_version(version, stack_service.mlflow_url, location="s3://matinee/ratings/versions/1")
    assert not tracked.unchanged
    assert capfd.readouterr() == ("", "")
    manifest, certificate = Manifest.read(version), Certificate.read(version)
    run = client.get_run(tracked.run)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == manifest.id
    assert client.get_experiment(tracked.experiment).name == manifest.name
    ((given),) = run.inputs.dataset_inputs
    digest = hashlib.sha256((version / "manifest.json").read_bytes()).hexdigest()
    assert (given.dataset.name, given.dataset.digest) == (manifest.name, digest[:36])
    assert given.dataset.source_type == "s3"
    assert json.loads(given.dataset.source) == {"uri": "s3://matinee/ratings/versions/1"}
    assert [column["name"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]] == [
        "user", "item", "rating", "timestamp",
    ]  # fmt: skip
    assert json.loads(given.dataset.profile)["num_rows"] == 8
    assert json.loads(given.dataset.profile)["manifest_sha256"] == digest
    assert run.data.tags["matinee.version"] == manifest.id
    assert run.data.tags["matinee.manifest_sha256"] == digest
    assert run.data.params["cuts"] == ",".join(map(str, certificate.cuts))
    assert (run.data.params["users"], run.data.params["train_events"]) == ("4", str(certificate.train.rows))
    for name in ("certificate.json", "certificate.html"):
        copy = client.download_artifacts(tracked.run, name, str(tmp_path))
        assert Path(copy).read_bytes() == (version / name).read_bytes()


def test_twice_is_once(client: MlflowClient, stack_service: Stack, version: Path) -> None:
    first = log_version(version, stack_service.mlflow_url)
    again = log_version(version, stack_service.mlflow_url)
    assert again.unchanged
    assert (again.run, again.experiment, again.url) == (first.run, first.experiment, first.url)
    assert first.url.startswith(f"{stack_service.mlflow_url}/#/experiments/{first.experiment}/runs/")
    assert len(client.search_runs([first.experiment])) == 1


def test_a_run_that_broke_off_is_finished(
    client: MlflowClient, stack_service: Stack, version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = type(client).log_artifact

    def break_off(self: MlflowClient, run: str, path: str) -> None:
        original(self, run, path)
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.MlflowClient.log_artifact", break_off)
    with pytest.raises(KeyboardInterrupt):
        log_version(version, stack_service.mlflow_url)
    monkeypatch.setattr("mlflow.MlflowClient.log_artifact", original)
    tracked = log_version(version, stack_service.mlflow_url)
    assert not tracked.unchanged
    (run,) = client.search_runs([tracked.experiment])
    assert (run.info.run_id, run.info.status) == (tracked.run, "FINISHED")
    assert len(run.inputs.dataset_inputs) == 1
    assert {file.path for file in client.list_artifacts(tracked.run)} == {"certificate.json", "certificate.html"}


def test_a_killed_mlflow_is_waited_for(
    client: MlflowClient, stack_service: Stack, version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = type(client).log_artifact
    kills = iter([True])

    def kill_first(self: MlflowClient, run: str, path: str) -> None:
        if next(kills, False):
            os.kill(Supervisor(Folders(stack_service.data_dir)).states()["mlflow"].pid, signal.SIGKILL)
        original(self, run, path)

    monkeypatch.setattr("mlflow.MlflowClient.log_artifact", kill_first)
    tracked = log_version(version, stack_service.mlflow_url)
    run = client.get_run(tracked.run)
    assert run.info.status == "FINISHED"
    assert len(run.inputs.dataset_inputs) == 1
    assert {file.path for file in client.list_artifacts(tracked.run)} == {"certificate.json", "certificate.html"}


def test_a_version_without_rating_and_cuts(client: MlflowClient, stack_service: Stack, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(
        "user,item,time\n" + "".join(f"{n % 3},{n},{1_000_000_000 + n}\n" for n in range(12))
    )
    folder = matinee.transform(tmp_path / "plain.csv", out=tmp_path / "version", split="leave-one-out").folder
    run = client.get_run(log_version(folder, stack_service.mlflow_url).run)
    assert run.data.params["split"] == "leave-one-out"
    assert "cuts" not in run.data.params
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.source_type == "local"
    assert json.loads(dataset.source) == {"uri": str(folder)}
    assert "rating" not in dataset.schema


def test_a_deleted_experiment_is_one_line(client: MlflowClient, stack_service: Stack, version: Path) -> None:
    tracked = log_version(version, stack_service.mlflow_url)
    client.delete_experiment(tracked.experiment)
    with pytest.raises(TrackingError, match=rf"was deleted; 'mlflow experiments restore -x {tracked.experiment}'"):
        log_version(version, stack_service.mlflow_url)


def test_no_mlflow_is_one_line_at_once(version: Path) -> None:
    with pytest.raises(TrackingError, match=r"^MLflow at http://127.0.0.1:1: no answer \([^\n]*run again$"):
        log_version(version, "http://127.0.0.1:1")


def test_something_else_is_one_line(stack_service: Stack, version: Path) -> None:
    with pytest.raises(TrackingError, match=r"answers \d+ when asked how it is; is it MLflow\?$"):
        log_version(version, stack_service.s3.url)


def test_what_mlflow_refuses_is_one_line(stack_service: Stack, version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        from mlflow.exceptions import MlflowException

        raise MlflowException("quota\nexceeded")

    monkeypatch.setattr("mlflow.MlflowClient.log_inputs", refuse)
    with pytest.raises(TrackingError, match=r"^MLflow at http://127[^ ]*: quota exceeded; look at it and run again$"):
        log_version(version, stack_service.mlflow_url)


def test_the_environment_is_as_it_was(stack_service: Stack, version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a proxy in it is not asked for what lies on this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.org")
    before = dict(os.environ)
    log_version(version, stack_service.mlflow_url)
    assert dict(os.environ) == before


def test_nobody_is_told_who_uses_it() -> None:
    code = "import matinee.train.track; from mlflow.telemetry import get_telemetry_client;print(get_telemetry_client())"
    environment = {"PATH": os.environ["PATH"]}  # pytest itself is a reason for MLflow not to tell
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_no_version_is_one_line(stack_service: Stack, tmp_path: Path) -> None:
    with pytest.raises(VersionNotFoundError):
        log_version(tmp_path, stack_service.mlflow_url)
