"""Models at the end of a version's chain: whole, recorded and gone, changed, missing, trained again."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from matinee.errors import LineageError
from matinee.lineage import Artifact, Chain, Recorder, trace
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("checkpoint.json", "model.safetensors", "model.onnx")
VERSION = "0123456789abcdef"
PAGE = "http://127.0.0.1:5000/experiments/1/runs/abc"


def train(root: Path, name: str, content: str = "", *, page: str = "") -> Artifact:
    """A model's folder, and the events that tell of it."""
    folder = root / name
    folder.mkdir(exist_ok=True)
    for file in FILES:
        (folder / file).write_text(f"{name} {file} {content}")
    made = Artifact.of_checkpoint(folder, FILES, name=name, version=VERSION, source_sha256="ab")
    recorder = Recorder(root / "lineage")
    with recorder.stage("train") as run:
        run.add_output(made)
    if page:
        with recorder.stage("track", [made]) as run:
            run.add_output(made.tracked(page))
    return made


def chain_of(root: Path) -> Chain:
    return trace(VERSION, events=root / "lineage" / "events.jsonl")


def told(chain: Chain) -> list[tuple[str, str, str]]:
    return [(link.kind, link.what, link.state) for link in chain.links if link.kind in {"run", "checkpoint"}]


def test_each_model_follows_its_run(tmp_path: Path) -> None:
    train(tmp_path, "sse-pt-1", page=PAGE)
    train(tmp_path, "markov-2")
    chain = chain_of(tmp_path)
    assert told(chain) == [
        ("run", "sse-pt-1", "ok"),
        ("checkpoint", "sse-pt-1", "ok"),
        ("checkpoint", "markov-2", "ok"),
    ]
    run, checkpoint = (link for link in chain.links if link.what == "sse-pt-1")
    assert run.where == PAGE
    assert checkpoint.checked == 3
    head = hashlib.sha256((tmp_path / "sse-pt-1" / "checkpoint.json").read_bytes()).hexdigest()
    assert run.sha256 == checkpoint.sha256 == head
    chain.verify()


@pytest.mark.parametrize("file", FILES)
def test_a_changed_byte_is_named(tmp_path: Path, file: str) -> None:
    made = dict(train(tmp_path, "sse-pt-1").contents)
    train(tmp_path, "markov-2")
    path = tmp_path / "sse-pt-1" / file
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    chain = chain_of(tmp_path)
    assert told(chain) == [("checkpoint", "sse-pt-1", "changed"), ("checkpoint", "markov-2", "ok")]
    with pytest.raises(LineageError, match=f"{file} has {found}, expected {made[file]} .*against the events"):
        chain.verify()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    train(tmp_path, "sse-pt-1")
    (tmp_path / "sse-pt-1" / "model.onnx").unlink()
    with pytest.raises(LineageError, match=r"model.onnx is missing \(recorded when it was made\)"):
        chain_of(tmp_path).verify()


def test_what_was_found_of_a_model_follows_it(tmp_path: Path) -> None:
    model = train(tmp_path, "sse-pt-1")
    train(tmp_path, "markov-2")
    for split in ("eval", "test"):
        report, ranks = (tmp_path / "sse-pt-1" / f"evaluation-{split}.{kind}" for kind in ("json", "parquet"))
        report.write_text(split)
        ranks.write_text("ranks")
        found = Artifact.of_evaluation(report, ranks, name="sse-pt-1", version=VERSION, source_sha256="ab")
        with Recorder(tmp_path / "lineage").stage("evaluate", inputs=[model]) as run:
            run.add_output(found)
    links = chain_of(tmp_path).links
    assert [link.kind for link in links[-4:]] == ["checkpoint", "evaluation", "evaluation", "checkpoint"]
    assert [link.checked for link in links[-4:]] == [3, 2, 2, 3]
    report.write_text("better")
    with pytest.raises(LineageError, match=r"evaluation-test.json has"):
        chain_of(tmp_path).verify()


def test_a_folder_that_is_gone_breaks_nothing(tmp_path: Path) -> None:
    train(tmp_path, "sse-pt-1")
    shutil.rmtree(tmp_path / "sse-pt-1")
    chain = chain_of(tmp_path)
    assert chain.whole
    assert "not at hand" in chain.links[-1].detail


def test_the_last_training_in_a_folder_counts(tmp_path: Path) -> None:
    train(tmp_path, "sse-pt-1", "old", page=PAGE)
    train(tmp_path, "sse-pt-1", "new")
    chain = chain_of(tmp_path)
    chain.verify()
    assert told(chain) == [("checkpoint", "sse-pt-1", "ok")], "the old one's run is not the new one's"


def test_a_version_that_only_trainings_tell_of_is_checked_where_they_read_it(tmp_path: Path) -> None:
    version = small_version(tmp_path / "v", [(user, user % 3, 10 * user) for user in range(1, 13)])
    with Recorder(tmp_path / "lineage").stage("train", [Artifact.of_folder(version.folder)]):
        pass
    chain = trace(version.id, events=tmp_path / "lineage" / "events.jsonl")
    assert chain.name == "log"
    assert {link.kind: link.state for link in chain.links} == dict.fromkeys(
        ("source", "archive", "version"), "unrecorded"
    )
    assert chain.links[-1].checked > 10
    (version.folder / "rejects.csv").write_text("more")
    with pytest.raises(LineageError, match=r"rejects.csv has [0-9a-f]{64}, expected"):
        trace(version.id, events=tmp_path / "lineage" / "events.jsonl").verify()
