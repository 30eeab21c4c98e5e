"""`matinee evaluate` and its twin on real checkpoints: side by side, against the first, files, and what is refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

import matinee
from matinee.cli import main
from matinee.errors import ModelError, ModelMismatchError, ModelNotFoundError, UsageError, VersionNotFoundError
from matinee.metrics.significance import compare
from matinee.model import checkpoint
from matinee.model.recommender import Known
from matinee.model.sasrec import SASRec, SASRecSettings
from matinee.model.table import find_model
from matinee.schema.progress import Silent
from matinee.train.evaluate import evaluate_split
from matinee.version import open_version
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.model.recommender import Recommender
    from matinee.version import Version


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a version and two models that were counted on it."""
    data = tmp_path_factory.mktemp("evaluate")
    chance = np.random.default_rng(2)
    rows = [(int(chance.integers(1, 25)), int(chance.integers(1, 40)), 10**9 + 1000 * place) for place in range(600)]
    there = small_version(data / "work", rows)
    folder = data / "versions" / there.name / there.id
    folder.parent.mkdir(parents=True)
    shutil.move(there.folder, folder)
    version = open_version(folder)
    for number, name in enumerate(("markov", "popularity")):
        train(data / "models" / version.name / version.id / f"{name}-{number:08x}", version, name)
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy, for what a test leaves in it."""
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def train(folder: Path, version: Version, name: str) -> None:
    kind, settings = find_model(name).load()
    save(
        folder,
        kind.fit(settings(), version.sequences("train"), Known(version.known_users, version.known_items)),
        version,
    )


def save(folder: Path, model: Recommender, version: Version) -> None:
    facts = checkpoint.CheckpointFacts.of(
        model,
        dataset=version.name,
        version=version.id,
        manifest_sha256=version.sha256,
        users=version.manifest.users,
        items=version.manifest.items,
    )
    checkpoint.save(folder, model, facts)


def test_two_models_side_by_side_and_the_files_that_stay(data: Path) -> None:
    report = matinee.evaluate("log/markov", "log/popularity", data_dir=data)
    version = open_version(data / "versions" / "log" / report.version)
    first, second = report.models
    assert (first.label, second.label, first.differences) == ("markov", "popularity", {})
    alone = evaluate_split(checkpoint.load(second.folder)[0], version, split="test")
    assert second.evaluation.metrics == alone.metrics
    for name, found in second.differences.items():
        assert found == compare(alone.values[name], first.evaluation.values[name], alone.users)
    for one in report.models:
        report_file, ranks, plot = one.files
        assert {path.parent for path in one.files} == {one.folder}
        assert [path.name for path in one.files] == [
            f"evaluation-test-time.{end}" for end in ("json", "parquet", "png")
        ]
        assert json.loads(report_file.read_text()) == json.loads(json.dumps(one.as_json()))
        table = pq.read_table(ranks).to_pydict()
        assert table["rank"] == one.evaluation.ranks.tolist()
        assert table["user"] == one.evaluation.users.tolist()
        assert table["item"] == one.evaluation.targets.tolist()
        assert table["timestamp"] == one.evaluation.times_s.tolist()
        assert table["warm_user"] == one.evaluation.warm_users.tolist()
        assert plot.read_bytes().startswith(b"\x89PNG")


def test_an_evaluation_of_some_people_or_on_another_version_leaves_the_usual_one_alone(
    data: Path, tmp_path: Path
) -> None:
    usual = matinee.evaluate("log/markov", data_dir=data).models[0].files[0]
    before = usual.read_bytes()
    (folder,) = (data / "versions" / "log").iterdir()
    other = shutil.copytree(folder, tmp_path / "other")
    for file in (other / "manifest.json", other / "certificate.json"):
        file.write_text(file.read_text().replace(folder.name, "f" * 16))
    for options, name in (
        ({"users": 3}, "3-users"),
        ({"k": 20, "include_seen": True}, "at-20-with-seen"),
        ({"version": other}, f"on-{'f' * 16}"),
    ):
        (made,) = matinee.evaluate("log/markov", data_dir=data, **options).models  # type: ignore[arg-type]
        assert made.files[0] == usual.with_name(f"evaluation-test-time-{name}.json")
    assert usual.read_bytes() == before


def test_files_go_where_they_are_wanted(data: Path, tmp_path: Path) -> None:
    report = matinee.evaluate(
        "log/markov",
        "log/popularity",
        protocol="leave-one-out",
        negatives=5,
        users=6,
        out=tmp_path / "o",
        data_dir=data,
    )
    for one in report.models:
        assert one.evaluation.ranks.size == 6
        assert [path.name for path in one.files] == [
            f"evaluation-test-leave-one-out-5-6-users.{end}" for end in ("json", "parquet")
        ]
        assert {path.parent for path in one.files} == {tmp_path / "o" / one.folder.name}
        assert not [*one.folder.glob("evaluation-*")]


def test_files_that_cannot_lie_there_are_refused_first(data: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ModelError, match="no folder can be made there"):
        matinee.evaluate("log/markov", out=tmp_path / "taken", data_dir=data)
    folders = []
    for parent, name in (("a", "markov"), ("b", "popularity")):
        (folder,) = (data / "models" / "log").glob(f"*/{name}-*")
        folders.append(shutil.copytree(folder, tmp_path / parent / "best"))
    with pytest.raises(UsageError, match=r"o/best: the files of 2 models would go there; rename a folder"):
        matinee.evaluate(*folders, out=tmp_path / "o", data_dir=data)


def test_another_version_with_other_ids_is_refused(data: Path, tmp_path: Path) -> None:
    other = small_version(tmp_path / "other", [(user, item, user * item) for user in range(5) for item in range(5)])
    with pytest.raises(ModelMismatchError, match="markov was trained on log"):
        matinee.evaluate("log/markov", version=other.folder, data_dir=data)


class Listener(Silent):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def test_who_may_have_been_trained_on_the_targets_is_named(data: Path) -> None:
    """The same ids, another split: what one version asks about, another's train may hold."""
    here = open_version(next((data / "versions" / "log").iterdir()))
    train(data / "models" / "log" / "other" / "markov-0000000c", here, "markov")
    path = data / "models" / "log" / "other" / "markov-0000000c" / "checkpoint.json"
    path.write_text(path.read_text().replace(here.sha256, "0" * 64).replace(here.id, "other"))
    listener = Listener()
    names = ["markov-0000000c", "popularity"]
    matinee.evaluate(*(f"log/{name}" for name in names), version=here.folder, data_dir=data, progress=listener)
    (line,) = listener.said
    assert line.startswith("careful: markov was trained on log other, whose train may hold events")


def test_a_network_without_an_export_is_scored_by_pytorch_and_a_line_says_so(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = open_version(next((data / "versions" / "log").iterdir()))
    folder = data / "models" / "log" / version.id / "sasrec-0000000f"
    settings = SASRecSettings(maxlen=5, item_dim=4, blocks=1)
    save(folder, SASRec.initial(settings, Known(version.known_users, version.known_items)), version)
    listener = Listener()
    found, chosen = (
        matinee.evaluate("log/sasrec", "log/markov", engine=engine, data_dir=data, progress=listener)  # type: ignore[arg-type]
        for engine in ("auto", "torch")
    )
    assert [one.as_json()["engine"] for one in found.models] == ["torch", "numpy"]
    assert found.models[0].evaluation.ranks.tolist() == chosen.models[0].evaluation.ranks.tolist()
    (line,) = listener.said
    assert line.startswith(f"{folder}: no model.onnx; run 'matinee export {folder}'; until then PyTorch scores")
    with pytest.raises(ModelNotFoundError, match=r"no model\.onnx; run 'matinee export"):
        matinee.evaluate("log/sasrec", engine="onnx", data_dir=data)
    assert main(["evaluate", "log/sasrec", "log/markov", "--engine", "torch", "--data-dir", str(data)]) == 0
    expected = "PyTorch's, which differ from the server's in the last bits (sasrec); counted, as the server's (markov)."
    assert f"\nScores are {expected}\n" in capsys.readouterr().out


def test_what_is_not_there_is_named(data: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"log/nope.*there are log/markov, log/popularity"):
        matinee.evaluate("log/nope", data_dir=data)
    (folder,) = (data / "models" / "log").glob("*/markov-*")
    with pytest.raises(UsageError, match="named 2 times"):
        matinee.evaluate("log/markov", folder, data_dir=data)
    for k in (0, 99_999_999):
        with pytest.raises(UsageError, match=f"k is {k}, expected 1 to 1,000"):
            matinee.evaluate("log/markov", k=k, data_dir=data)
    with pytest.raises(UsageError, match="seed is -1, expected 0 or more"):
        matinee.evaluate("log/markov", seed=-1, data_dir=data)
    shutil.rmtree(data / "versions")
    with pytest.raises(VersionNotFoundError, match=r"no folder of that name.*\(--version says which one"):
        matinee.evaluate("log/markov", data_dir=data)


def test_two_of_one_kind_are_told_apart_by_their_folders(data: Path) -> None:
    (folder,) = (data / "models" / "log").glob("*/markov-*")
    shutil.copytree(folder, folder.with_name("markov-ffffffff"))
    report = matinee.evaluate(folder, folder.with_name("markov-ffffffff"), data_dir=data)
    assert [one.label for one in report.models] == [folder.name, "markov-ffffffff"]
    assert {one.p for one in report.models[1].differences.values()} == {1.0}
    (data / "again").mkdir()
    shutil.copytree(folder, data / "again" / folder.name)
    with pytest.raises(UsageError, match="2 models are called so"):
        matinee.evaluate(folder, data / "again" / folder.name, data_dir=data)


def test_the_command_prints_every_table(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "log/markov", "log/popularity", "--split", "eval", "--data-dir", str(data)]) == 0
    captured = capsys.readouterr()
    out = captured.out
    assert "evaluate popularity: 150 events in" in captured.err
    assert "eval, time: 150 events of" in out
    assert "targets were in the history already: missed, as a history is left out." in out
    for head in ("model ", "ndcg@10 of ", "ndcg@10 from ", "against markov "):
        assert f"\n{head}" in out
    for part in ("cold users, cold items ", "warm items "):
        assert f"\n{part}" in out
    assert out.rstrip().endswith("evaluation-eval-time.json")


def test_the_command_says_the_same_in_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "log/markov", "log/popularity", "--data-dir", str(data)]
    options = ["--protocol", "leave-one-out", "--negatives", "5", "--users", "6", "--k", "3", "--seed", "1"]
    assert main([*words, *options, "--include-seen", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    report = matinee.evaluate(
        "log/markov", "log/popularity", protocol="leave-one-out", negatives=5, users=6, k=3, seed=1, include_seen=True,
        data_dir=data,
    )  # fmt: skip
    expected = [one.as_json() for one in report.models]
    for one in (*found, *expected):
        del one["wall_s"]
    assert found == json.loads(json.dumps(expected))
    assert not found[0]["exclude_seen"]


def test_a_mistake_is_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "log/markov", "--negatives", "100", "--data-dir", str(data)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "matinee: negatives belong to the protocol leave-one-out; the protocol time ranks the catalogue\n"
    )
