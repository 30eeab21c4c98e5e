"""Reports at the end of a version's chain: whole, changed, missing, of another version, of a model nobody trained."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from matinee.errors import LineageError
from matinee.lineage import Artifact, Chain, LocalFiles, Recorder, trace

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("report.json", "report.html", "ranks.parquet")
VERSION = "0123456789abcdef"
MANIFEST_SHA256 = "ab" * 32
PAGE = "http://127.0.0.1:5000/experiments/1/runs/abc"


def a_version() -> Artifact:
    return Artifact("version", "toy", "/nowhere/versions/toy", MANIFEST_SHA256, version=VERSION, source_sha256="cd")


def a_checkpoint(root: Path) -> Artifact:
    folder = root / "model"
    folder.mkdir()
    (folder / "checkpoint.json").write_text("{}")
    made = Artifact.of_checkpoint(folder, ["checkpoint.json"], name="sse-pt-1", version=VERSION, source_sha256="cd")
    with Recorder(root / "lineage").stage("train", [a_version()], [made]):
        pass
    return made


def report(
    root: Path,
    checkpoint: Artifact | None,
    *,
    given: bool = True,
    version_sha256: str = MANIFEST_SHA256,
    page: str = "",
    stored: str = "",
) -> Artifact:
    """A report's folder, and the events that tell of it."""
    folder = root / "replay-1"
    folder.mkdir()
    served = {"one": {"served": {"checkpoint_sha256": checkpoint.sha256 if checkpoint else ""}}}
    (folder / "report.json").write_text(json.dumps({"version_sha256": version_sha256, "arms": served}))
    for name in FILES[1:]:
        (folder / name).write_text(name)
    recorder = Recorder(root / "lineage")
    with recorder.stage("replay", [a_version(), *([checkpoint] if checkpoint and given else [])]) as run:
        made = Artifact.of_report(folder, FILES, name="replay-1", version=VERSION, source_sha256="cd")
        run.add_output(made)
    if page:
        with recorder.stage("track", [made]) as run:
            run.add_output(made.tracked(page))
    if stored:
        with recorder.stage("publish", [made, *run.inputs]) as run:
            run.add_output(replace(made, location=stored))
    return made


def chain_of(root: Path) -> Chain:
    return trace(VERSION, events=root / "lineage" / "events.jsonl")


def told(chain: Chain) -> list[tuple[str, str, str]]:
    return [(link.kind, link.what, link.state) for link in chain.links if link.kind in {"run", "checkpoint", "report"}]


def test_a_report_follows_the_checkpoint_and_its_run(tmp_path: Path) -> None:
    made = report(tmp_path, a_checkpoint(tmp_path), page=PAGE)
    chain = chain_of(tmp_path)
    assert told(chain) == [
        ("checkpoint", "sse-pt-1", "ok"),
        ("run", "replay-1", "ok"),
        ("report", "replay-1", "ok"),
    ]
    run, link = chain.links[-2:]
    assert run.where == PAGE
    assert run.sha256 == link.sha256 == made.sha256
    assert (link.checked, link.detail) == (3, "3 files have the recorded SHA-256")
    chain.verify()


@pytest.mark.parametrize("file", FILES)
def test_a_changed_byte_is_named(tmp_path: Path, file: str) -> None:
    made = dict(report(tmp_path, a_checkpoint(tmp_path)).contents)
    path = tmp_path / "replay-1" / file
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    chain = chain_of(tmp_path)
    assert told(chain)[-1] == ("report", "replay-1", "changed")
    with pytest.raises(LineageError, match=f"{file} has {found}, expected {made[file]} .*against the events"):
        chain.verify()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    report(tmp_path, a_checkpoint(tmp_path))
    (tmp_path / "replay-1" / "report.html").unlink()
    with pytest.raises(LineageError, match=r"report.html is missing \(recorded when it was made\)"):
        chain_of(tmp_path).verify()


def test_a_folder_that_is_gone_breaks_nothing(tmp_path: Path) -> None:
    report(tmp_path, a_checkpoint(tmp_path))
    shutil.rmtree(tmp_path / "replay-1")
    chain = chain_of(tmp_path)
    assert chain.whole
    assert "not at hand" in chain.links[-1].detail


def test_a_report_of_other_bytes_of_the_version_is_none_of_this_chain(tmp_path: Path) -> None:
    report(tmp_path, a_checkpoint(tmp_path), version_sha256="ef" * 32)
    with pytest.raises(LineageError, match=f"report.json has {'ef' * 32}, expected {MANIFEST_SHA256} .*manifest"):
        chain_of(tmp_path).verify()


def test_a_report_of_another_checkpoint_than_the_replay_was_given_is_named(tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path)
    report(tmp_path, checkpoint, given=False)
    with pytest.raises(LineageError, match=f"report.json has {checkpoint.sha256}, expected none .*checkpoint"):
        chain_of(tmp_path).verify()


def test_a_checkpoint_that_no_event_tells_of_is_said_and_breaks_nothing(tmp_path: Path) -> None:
    unknown = Artifact("checkpoint", "copied-here", "/nowhere", "12" * 32, version=VERSION)
    report(tmp_path, unknown)
    chain = chain_of(tmp_path)
    assert told(chain) == [("report", "replay-1", "unrecorded")]
    assert f"no event tells of checkpoint {'12' * 32}" in chain.links[-1].detail
    assert chain.whole


def test_a_report_of_a_server_whose_checkpoint_is_not_known_has_none(tmp_path: Path) -> None:
    report(tmp_path, None)
    assert told(chain_of(tmp_path)) == [("report", "replay-1", "ok")]


def test_a_published_report_is_checked_where_its_store_is_open(tmp_path: Path) -> None:
    place = "s3://matinee/toy/reports/0123456789abcdef/replay-1"
    report(tmp_path, a_checkpoint(tmp_path), stored=place)
    events = tmp_path / "lineage" / "events.jsonl"
    assert "not at hand" in trace(VERSION, events=events).links[-1].detail
    shutil.copytree(tmp_path / "replay-1", tmp_path / "stored")
    stored = LocalFiles(tmp_path / "stored")

    def elsewhere(location: str) -> LocalFiles | None:
        return stored if location == place else None

    assert trace(VERSION, events=events, elsewhere=elsewhere).links[-1].checked == 3
    (tmp_path / "stored" / "report.html").write_text("another")
    chain = trace(VERSION, events=events, elsewhere=elsewhere)
    assert [link.state for link in chain.links if link.kind == "report"] == ["ok", "changed"]
    assert chain.links[-1].where == place
