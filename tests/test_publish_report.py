"""A report in the real MLflow, S3 and lineage: all of it, once, whatever happens to them meanwhile."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import matinee
from matinee.errors import LineageError
from matinee.etl.load import load
from matinee.lineage import Recorder
from matinee.place import open_place, place
from matinee.publish_report import PUBLISHED, publish_report
from matinee.replay.plan import Arrivals, Plan
from matinee.replay.report import FILES, Report, read_report
from matinee.replay_and_report import Replayed
from matinee.schema.progress import Silent
from matinee.stack.folders import Folders
from matinee.stack.supervisor import Supervisor
from replayed import lively_stream, quick_report, replayed
from served_models import changing_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from matinee.publish_report import Publication
    from matinee.stack import Stack
    from matinee.train.trained import Trained
    from matinee.version import Version

pytestmark = pytest.mark.xdist_group("stack")


class Listener(Silent):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@dataclass(frozen=True)
class Played:
    """A version in the store, a model of it in MLflow, and a replay of it against a real server."""

    version: Version
    trained: Trained
    done: Replayed


@pytest.fixture(scope="module")
def played(stack_service: Stack, tmp_path_factory: pytest.TempPathFactory) -> Played:
    version = changing_version(tmp_path_factory.mktemp("published"), name="published")
    data_dir = stack_service.data_dir
    lineage = Recorder(data_dir / "lineage")
    with place(None, None, data_dir, create=True) as address:
        load(version.folder, address.to, **address.reach, lineage=lineage)
    trained = matinee.train(version.folder, model="popularity", data_dir=data_dir, lineage=lineage)
    return Played(version, trained, replayed_by(stack_service, version, trained))


def replayed_by(stack: Stack, version: Version, trained: Trained) -> Replayed:
    lineage = Recorder(stack.data_dir / "lineage")
    done = matinee.replay(
        version.folder, against=str(trained.folder), rate=400, limit=60, data_dir=stack.data_dir, lineage=lineage
    )
    assert isinstance(done, Replayed)
    return done


def replay(played: Played, stack: Stack) -> Replayed:
    """The same words again."""
    return replayed_by(stack, played.version, played.trained)


@pytest.fixture
def client(stack_service: Stack) -> MlflowClient:
    from mlflow import MlflowClient  # after the room's own import, which has to come first

    return MlflowClient(stack_service.mlflow_url)


@pytest.fixture
def another(played: Played, stack_service: Stack, request: pytest.FixtureRequest) -> Report:
    """A finished replay of the same version and model, whose report nobody has been told of."""
    return a_report(played, stack_service.data_dir / "replays" / f"by-hand-{request.node.name}"[:60])


def a_report(played: Played, folder: Path, **how: Any) -> Report:
    stream = lively_stream(80)
    version = played.version
    plan = Plan(version.name, version.id, version.sha256, arrivals=Arrivals(rate=100.0))
    replayed(folder, stream, plan=plan, checkpoint_sha256=played.trained.files["checkpoint.json"], **how)
    return quick_report(folder, stream)


def publish(stack: Stack, played: Played, report: Report, **how: Any) -> Publication:
    lineage = Recorder(stack.data_dir / "lineage")
    return publish_report(report, played.version, data_dir=stack.data_dir, lineage=lineage, **how)


def run_of(client: MlflowClient, page: str) -> Run:
    return client.get_run(page.rpartition("/")[2])


def test_a_replay_is_a_run_below_its_models(played: Played, client: MlflowClient, tmp_path: Path) -> None:
    facts, page = played.done.report.facts, played.done.publication.page
    run = run_of(client, page)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == played.version.name
    assert run.data.tags["mlflow.parentRunId"] == played.trained.page.rpartition("/")[2]
    assert run.data.tags["matinee.checkpoint_sha256.popularity"] == played.trained.files["checkpoint.json"]
    assert run.data.tags["matinee.manifest_sha256"] == played.version.sha256
    assert run.data.tags["matinee.report_sha256"] == played.done.report.sha256["report.json"]
    assert (run.data.params["rate"], run.data.params["limit"], run.data.params["split"]) == ("400.0", "60", "eval")
    arm = facts["arms"]["popularity"]
    assert run.data.metrics["popularity/ndcg_at_10"] == pytest.approx(arm["metrics"]["ndcg@10"])
    assert run.data.metrics["popularity/ask_ms/p99"] == pytest.approx(arm["latency_ms"]["ask"]["p99"])
    assert run.data.metrics["popularity/told"] == arm["told"] == 60
    windows = client.get_metric_history(run.info.run_id, "popularity/over_wall_time/per_s")
    assert {one.step: one.value for one in windows} == pytest.approx(
        {at: window["per_s"] for at, window in enumerate(facts["windows"]["popularity"])}
    )
    for name in FILES:
        copy = client.download_artifacts(run.info.run_id, name, str(tmp_path))
        assert Path(copy).read_bytes() == (played.done.folder / name).read_bytes()
    ((given),) = run.inputs.dataset_inputs
    assert given.dataset.digest == played.version.sha256[:36]


def test_the_chain_leads_from_the_source_to_the_report(played: Played, stack_service: Stack) -> None:
    chain = matinee.trace(played.version.id, data_dir=stack_service.data_dir)
    chain.verify()
    kinds = [link.kind for link in chain.links]
    assert kinds[:4] == ["source", "archive", "version", "published"]
    assert kinds.index("checkpoint") < kinds.index("report")
    page = played.done.publication.page.replace("/#/", "/")
    assert page in [link.where for link in chain.links if link.kind == "run"]
    here, there = (link for link in chain.links if link.kind == "report" and link.what == played.done.id)
    assert (here.where, here.state, here.checked) == (str(played.done.folder), "ok", 3)
    assert (there.where, there.state, there.checked) == (played.done.publication.location, "ok", 3)
    assert there.where == f"s3://matinee/published/reports/{played.version.id}/{played.done.id}"


def test_a_changed_byte_in_the_store_is_named(played: Played, stack_service: Stack) -> None:
    inside = played.done.publication.location.removeprefix("s3://matinee/") + "/report.html"
    with open_place(None, None, stack_service.data_dir) as store:
        before = store.read(inside)
        assert before is not None
        store.write(inside, before[:-1] + b"!")
        try:
            with pytest.raises(LineageError, match=r"report\.html has [0-9a-f]{64}, expected [0-9a-f]{64} .*events"):
                matinee.trace(played.version.id, data_dir=stack_service.data_dir).verify()
        finally:
            store.write(inside, before)


def test_the_same_words_again_tell_nobody(played: Played, stack_service: Stack, client: MlflowClient) -> None:
    events = stack_service.data_dir / "lineage" / "events.jsonl"
    before = events.read_bytes()
    again = replay(played, stack_service)
    assert (again.fresh, again.id, again.publication) == (False, played.done.id, played.done.publication)
    assert events.read_bytes() == before
    (played.done.folder / PUBLISHED).unlink()  # as where it was killed before it wrote that down
    assert replay(played, stack_service).publication == played.done.publication
    found = client.search_runs(
        [client.get_experiment_by_name("published").experiment_id], f"tags.`matinee.replay` = '{played.done.id}'"
    )
    assert len(found) == 1


def test_a_report_from_before_the_end_is_made_anew_and_a_lost_record_too(played: Played, stack_service: Stack) -> None:
    folder, page = played.done.folder, played.done.folder / "report.html"
    before = {path: path.read_bytes() for path in (folder / "report.json", page, folder / PUBLISHED)}
    events = stack_service.data_dir / "lineage" / "events.jsonl"
    told = len(events.read_bytes().splitlines())
    early = before[folder / "report.json"].replace(b'"state": "finished"', b'"state": "failed"')
    (folder / "report.json").write_bytes(early)  # of a session that failed; the last one was killed while it reported
    page.unlink()
    again = replay(played, stack_service)
    assert {path: path.read_bytes() for path in before} == before
    assert (again.fresh, again.report.sha256) == (False, played.done.report.sha256)
    (folder / PUBLISHED).unlink()  # killed before the lineage was told
    assert replay(played, stack_service).publication == played.done.publication
    assert len(events.read_bytes().splitlines()) > told
    matinee.trace(played.version.id, data_dir=stack_service.data_dir).verify()


def test_who_is_down_costs_a_line_and_gets_it_later(
    played: Played, stack_service: Stack, another: Report, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matinee.stack.start._TIMEOUT_S", 2.0)
    pid = Supervisor(Folders(stack_service.data_dir)).states()["mlflow"].pid
    listener = Listener()
    os.kill(pid, signal.SIGSTOP)
    try:
        told = publish(stack_service, played, another, track=True, progress=listener)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told.page == ""
    assert told.location
    assert "the report is whole, and the same words send MLflow what it lacks" in " ".join(listener.said)
    again = publish(stack_service, played, another)
    assert again.location == told.location
    assert run_of(client, again.page).info.status == "FINISHED"


def test_nobody_is_told_of_what_is_not_finished_or_not_to_be_told(
    played: Played, stack_service: Stack, another: Report, tmp_path: Path
) -> None:
    unfinished = a_report(played, tmp_path / "unfinished", why="interrupted")
    assert publish(stack_service, played, unfinished, track=True).page == ""
    assert publish(stack_service, played, another, track=False).location == ""
    assert not (another.folder / PUBLISHED).exists()


def test_a_data_folder_without_a_stack_keeps_its_report_to_itself(played: Played, tmp_path: Path) -> None:
    report = a_report(played, tmp_path / "replay")
    told = publish_report(report, played.version, data_dir=tmp_path / "data")
    assert (told.page, told.location) == ("", "")
    assert not (tmp_path / "data").exists()
    assert read_report(report.folder).sha256 == report.sha256


def test_a_store_that_is_named_gets_the_report(played: Played, tmp_path: Path) -> None:
    report = a_report(played, tmp_path / "replay")
    listener = Listener()
    store = str(tmp_path / "store")
    how = {"store": store, "data_dir": tmp_path / "data", "progress": listener}
    assert publish_report(report, played.version, **how).location == ""
    assert "no complete version" in listener.said[-1]
    load(played.version.folder, store)
    told = publish_report(report, played.version, **how)
    assert (Path(told.location) / "report.html").read_bytes() == (report.folder / "report.html").read_bytes()
