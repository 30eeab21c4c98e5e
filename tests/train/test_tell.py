"""A training in a real MLflow on real Postgres and S3: all of it, once, whatever happens to the server meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import matinee
from matinee.errors import ModelDamagedError, ModelNotFoundError, UsageError
from matinee.lineage import Recorder
from matinee.model import checkpoint
from matinee.schema.progress import Silent
from matinee.stack.folders import Folders
from matinee.stack.supervisor import Supervisor
from matinee.train.find import find_model_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient

    from matinee.stack import Stack
    from matinee.train.trained import Trained
    from matinee.version import Version

pytestmark = pytest.mark.xdist_group("stack")
quickly = pytest.mark.usefixtures("quick_export")


@pytest.fixture
def client(stack_service: Stack) -> MlflowClient:
    from mlflow import MlflowClient  # after the room's own import, which has to come first

    return MlflowClient(stack_service.mlflow_url)


@pytest.fixture
def version(walked_as: Callable[[str], Version], request: pytest.FixtureRequest) -> Version:
    """A version of a data set of the test's own."""
    return walked_as(request.node.name.removeprefix("test_"))


class Listener(Silent):
    """Remembers what is said, and does something when the first epoch's line comes."""

    def __init__(self, on_epoch: Callable[[], object] | None = None) -> None:
        self.said: list[str] = []
        self._on_epoch = on_epoch

    def say(self, line: str) -> None:
        self.said.append(line)
        if line.startswith("epoch ") and self._on_epoch is not None:
            act, self._on_epoch = self._on_epoch, None
            act()


def train(stack: Stack, version: Version, model: str = "sse-pt", **more: Any) -> Trained:
    lineage = Recorder(stack.data_dir / "lineage")
    return matinee.train(version.folder, model=model, data_dir=stack.data_dir, lineage=lineage, **more)


def run_of(trained: Trained) -> str:
    return trained.page.rpartition("/")[2]


def files_of(client: MlflowClient, run: str, folder: str | None = None) -> set[str]:
    found: set[str] = set()
    for entry in client.list_artifacts(run, folder):
        found |= files_of(client, run, entry.path) if entry.is_dir else {entry.path}
    return found


def assert_all_is_there_once(client: MlflowClient, trained: Trained, version: Version, tmp_path: Path) -> None:
    """The run has every epoch of every metric once, each file with its bytes, and one version in the registry."""
    run = client.get_run(run_of(trained))
    assert run.info.status == "FINISHED"
    epochs = [json.loads(line) for line in (trained.folder / "epochs.jsonl").read_text().splitlines()]
    for name in ("loss", "learning_rate", "sequences_per_s", "eval/ndcg_at_10", "system/cpu_utilization_percentage"):
        steps = Counter(metric.step for metric in client.get_metric_history(run.info.run_id, name))
        assert steps == Counter(range(len(epochs))), name
    history = client.get_metric_history(run.info.run_id, "loss")
    assert {metric.step: metric.value for metric in history} == {each["epoch"]: each["loss"] for each in epochs}
    ((given),) = run.inputs.dataset_inputs
    assert given.dataset.digest == version.sha256[:36]
    assert [tag.value for tag in given.tags] == ["training"]
    files = {f"checkpoint/{name}" for name in trained.files}
    assert files | {"certificate.json", "system.jsonl"} <= files_of(client, run.info.run_id)
    for name in trained.files:
        copy = client.download_artifacts(run.info.run_id, f"checkpoint/{name}", str(tmp_path))
        assert Path(copy).read_bytes() == (trained.folder / name).read_bytes()
    assert len(client.search_runs([run.info.experiment_id])) == 1
    assert len(client.search_model_versions(f"run_id = '{run.info.run_id}'")) == 1


def test_a_run_has_all_of_a_training(
    client: MlflowClient, stack_service: Stack, version: Version, tiny: dict[str, object], tmp_path: Path
) -> None:
    trained = train(stack_service, version, options=tiny)
    assert_all_is_there_once(client, trained, version, tmp_path)
    run = client.get_run(run_of(trained))
    assert run.info.run_name == trained.name
    assert client.get_experiment(run.info.experiment_id).name == version.name
    assert run.data.params["item_dim"] == "4"
    assert (run.data.params["epochs"], run.data.params["prior"]) == ("3", "auto")
    assert run.data.metrics["best/ndcg_at_10"] == pytest.approx(trained.metrics["ndcg@10"])
    assert run.data.tags["matinee.trained_on"] == version.id
    assert run.data.tags["matinee.checkpoint_sha256"] == trained.files["checkpoint.json"]
    links = matinee.trace(version.id, data_dir=stack_service.data_dir).links[-2:]
    assert [(link.kind, link.what, link.state) for link in links] == [
        ("run", trained.name, "ok"),
        ("checkpoint", trained.name, "ok"),
    ]
    from mlflow import pyfunc

    served = pyfunc.load_model(client.download_artifacts(run.info.run_id, "model", str(tmp_path)))
    (answer,) = served.predict([{"user": 1, "history": [101, 102], "k": 3}])
    assert len(answer["items"]) == 3
    assert set(answer["items"]) <= {*version.raw_items.tolist()} - {101, 102}
    again = train(stack_service, version, options=tiny)
    assert (again.fresh, again.page, again.registered) == (False, trained.page, trained.registered)


def test_a_counted_model_has_a_run_too(client: MlflowClient, stack_service: Stack, version: Version) -> None:
    trained = train(stack_service, version, "markov")
    run = client.get_run(run_of(trained))
    assert run.info.status == "FINISHED"
    assert run.data.metrics["best/hr_at_10"] == pytest.approx(trained.metrics["hr@10"])
    assert trained.registered == f"models:/{version.name}-markov/1"


@pytest.fixture
def hung(stack_service: Stack) -> Iterator[Callable[[], None]]:
    """Makes MLflow hang: connections are taken, and nobody answers."""
    pid = Supervisor(Folders(stack_service.data_dir)).states()["mlflow"].pid
    yield lambda: os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)


@quickly
def test_an_mlflow_that_is_killed_in_the_middle_has_all_of_it_in_the_end(
    client: MlflowClient,
    stack_service: Stack,
    version: Version,
    tiny: dict[str, object],
    tmp_path: Path,
) -> None:
    pid = Supervisor(Folders(stack_service.data_dir)).states()["mlflow"].pid
    listener = Listener(lambda: os.kill(pid, signal.SIGKILL))
    trained = train(stack_service, version, options=tiny, progress=listener)
    assert trained.epochs == 3
    assert [line for line in listener.said if "training goes on, and MLflow gets what it lacks later" in line]
    assert_all_is_there_once(client, trained, version, tmp_path)


@quickly
def test_an_outage_that_lasts_costs_a_warning_and_the_same_words_make_up_for_it(
    client: MlflowClient,
    stack_service: Stack,
    version: Version,
    tiny: dict[str, object],
    tmp_path: Path,
    hung: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("matinee.stack.start._TIMEOUT_S", 2.0)
    listener = Listener(hung)
    trained = train(stack_service, version, options=tiny, progress=listener)
    assert (trained.fresh, trained.epochs, trained.page) == (True, 3, "")
    assert checkpoint.load(trained.folder)[1].metrics == trained.metrics
    assert "the model is whole, and the same words send MLflow what it lacks" in listener.said[-1]
    os.kill(Supervisor(Folders(stack_service.data_dir)).states()["mlflow"].pid, signal.SIGCONT)
    again = train(stack_service, version, options=tiny)
    assert not again.fresh
    assert_all_is_there_once(client, again, version, tmp_path)


@quickly
def test_an_interrupted_training_goes_on_in_its_run(
    client: MlflowClient, stack_service: Stack, version: Version, tiny: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(stack_service, version, options=tiny, progress=Listener(lambda: os.kill(os.getpid(), signal.SIGINT)))
    (run,) = client.search_runs([client.get_experiment_by_name(version.name).experiment_id])
    assert run.info.status == "RUNNING"
    trained = train(stack_service, version, options=tiny)
    assert run_of(trained) == run.info.run_id
    assert_all_is_there_once(client, trained, version, tmp_path)


@quickly
def test_what_broke_off_while_it_was_sent_is_finished(
    client: MlflowClient,
    stack_service: Stack,
    version: Version,
    tiny: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_terminated", break_off)
        with pytest.raises(KeyboardInterrupt):
            train(stack_service, version, options=tiny)
    trained = train(stack_service, version, options=tiny)
    assert not trained.fresh
    assert_all_is_there_once(client, trained, version, tmp_path)


@quickly
def test_trained_without_tracking_it_is_told_later(
    client: MlflowClient, stack_service: Stack, version: Version, tiny: dict[str, object]
) -> None:
    assert train(stack_service, version, options=tiny, track=False).page == ""
    trained = train(stack_service, version, options=tiny)
    assert not trained.fresh
    steps = [metric.step for metric in client.get_metric_history(run_of(trained), "eval/hr_at_10")]
    assert sorted(steps) == [0, 1, 2]


def test_the_champion_is_the_best_on_the_version_trained_on_last(
    client: MlflowClient, stack_service: Stack, version: Version
) -> None:
    name = f"{version.name}-markov"

    def champion() -> str:
        return str(client.get_model_version_by_alias(name, "champion").version)

    good = train(stack_service, version, "markov", prior="off")
    assert (champion(), good.champion) == ("1", True)
    worse = train(stack_service, version, "markov", prior="1000")
    assert worse.metrics["ndcg@10"] < good.metrics["ndcg@10"]
    assert (champion(), worse.champion) == ("1", False)
    best = train(stack_service, version, "markov", prior="0.01")
    better = best.metrics["ndcg@10"] > good.metrics["ndcg@10"]
    assert (champion(), best.champion) == ("3" if better else "1", better)
    other = matinee.transform(version.folder.parent / "log.csv", out=version.folder.parent / "w", name=version.name,
                              fractions="0.6,0.2,0.2")  # fmt: skip
    newer = matinee.train(other.folder, model="markov", prior="1000", data_dir=stack_service.data_dir)
    assert (champion(), newer.champion) == ("4", True), "metrics on two versions cannot be compared"


def test_a_model_comes_out_of_the_registry_as_it_went_in(
    client: MlflowClient, stack_service: Stack, version: Version, tmp_path: Path
) -> None:
    trained = train(stack_service, version, "markov")
    data_dir = stack_service.data_dir
    folder = find_model_folder(f"models:/{version.name}-markov@champion", data_dir)
    assert folder == data_dir / "registry" / f"{version.name}-markov" / "1"
    for name in trained.files:
        assert (folder / name).read_bytes() == (trained.folder / name).read_bytes()
    assert checkpoint.load(folder)[1] == checkpoint.load(trained.folder)[1]
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert find_model_folder(trained.registered, data_dir) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before, "fetched once"
    (folder / "model.safetensors").write_bytes(b"something else")
    find_model_folder(trained.registered, data_dir)
    assert (folder / "model.safetensors").read_bytes() == (trained.folder / "model.safetensors").read_bytes()

    (tmp_path / "model.safetensors").write_bytes(b"something else")
    client.log_artifact(run_of(trained), str(tmp_path / "model.safetensors"), "checkpoint")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelDamagedError, match=r"model.safetensors has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        find_model_folder(trained.registered, data_dir)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("models:/nothing@champion", ModelNotFoundError, "has no such model"),
        ("models:/nothing/3", ModelNotFoundError, "has no such model"),
        ("models:/nothing", UsageError, "expected models:/NAME@ALIAS or models:/NAME/NUMBER"),
        ("models:/../../x", UsageError, "expected models:/NAME@ALIAS"),
    ],
)
def test_an_address_that_leads_nowhere(
    address: str, error: type[Exception], message: str, stack_service: Stack
) -> None:
    with pytest.raises(error, match=message):
        find_model_folder(address, stack_service.data_dir)


def test_what_somebody_else_registered_is_not_taken(client: MlflowClient, stack_service: Stack) -> None:
    client.create_registered_model("foreign")
    run = client.create_run("0")
    client.create_model_version("foreign", f"{run.info.artifact_uri}/x", run_id=run.info.run_id,
                                tags={"matinee.files": json.dumps({"../../etc/x": "0" * 64})})  # fmt: skip
    with pytest.raises(ModelDamagedError, match="was not registered by Matinee"):
        find_model_folder("models:/foreign/1", stack_service.data_dir)


def test_nothing_is_started_for_what_is_done(
    stack_service: Stack, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(stack_service, version, "popularity")
    monkeypatch.setattr("matinee.stack.running", None)
    assert train(stack_service, version, "popularity").page == first.page
    with pytest.raises(TypeError):
        train(stack_service, version, "markov")
