"""Where a figure came from, without a browser: what is wrong is said, and what is not recorded is not called right."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from matinee.dashboard.chain import Origin, Traced, trace_figure

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("chromium")  # they share its folder


@pytest.fixture
def origin(data_dir: Path) -> Origin:
    """The number of users in the certificate."""
    (file,) = data_dir.glob("versions/*/*/certificate.json")
    return Origin("users", "1", file.parent.name, file)


def states(traced: Traced) -> dict[str, str]:
    return {step.kind: step.state for step in traced.steps}


def test_a_copy_of_recorded_bytes_is_as_good(data_dir: Path, origin: Origin) -> None:
    traced = trace_figure(data_dir, origin)
    assert traced.state == "ok", traced.words
    assert traced.steps[-1].kind == "file"
    assert traced.steps[-1].sha256 == hashlib.sha256(origin.file.read_bytes()).hexdigest()


def test_a_changed_byte_is_named(data_dir: Path, origin: Origin) -> None:
    parquet = origin.file.parent / "events" / "eval.parquet"
    parquet.write_bytes(parquet.read_bytes()[:-1] + b"!")
    traced = trace_figure(data_dir, origin)
    assert traced.state == "broken"
    assert "events/eval.parquet has" in next(step.detail for step in traced.steps if step.state == "changed")


def test_the_file_of_the_figure_itself_is_compared(data_dir: Path, origin: Origin) -> None:
    origin.file.write_text(origin.file.read_text().replace("1", "2"))
    traced = trace_figure(data_dir, origin)
    assert traced.state == "broken"
    assert states(traced)["file"] != "ok"
    origin.file.unlink()
    assert trace_figure(data_dir, origin).steps[-1].state == "missing"


def test_a_model_that_no_event_tells_of_is_not_called_right(data_dir: Path, origin: Origin) -> None:
    traced = trace_figure(data_dir, replace(origin, checkpoints=("00" * 32,)))
    assert (traced.state, traced.words) == ("unrecorded", "No event tells of the model behind it.")


def test_the_model_behind_it_is_the_only_one_in_the_chain(data_dir: Path, house: Path, origin: Origin) -> None:
    (checkpoint,) = data_dir.glob("models/*/*/markov-*/checkpoint.json")
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    by_hash = trace_figure(data_dir, replace(origin, checkpoints=(sha256,)))
    (recorded,) = house.glob("models/*/*/markov-*")
    by_folder = trace_figure(data_dir, replace(origin, models=(recorded,)))
    for traced in (by_hash, by_folder):
        assert [step.what for step in traced.steps if step.kind == "checkpoint"] == [checkpoint.parent.name]
        assert traced.state == "ok", traced.words


@pytest.mark.parametrize("version", ["", "0123456789abcdef"])
def test_without_a_record_it_says_so(data_dir: Path, origin: Origin, version: str) -> None:
    traced = trace_figure(data_dir, replace(origin, version=version))
    assert (traced.state, [*states(traced)]) == ("unrecorded", ["file"])
    assert traced.words.startswith("Its chain cannot be followed: ")


def test_without_any_event_the_version_alone_is_compared(data_dir: Path, origin: Origin) -> None:
    shutil.rmtree(data_dir / "lineage")
    traced = trace_figure(data_dir, origin)
    assert traced.state == "unrecorded"
    assert states(traced)["version"] == "unrecorded"


def test_a_manifest_that_is_none_stops_nothing(data_dir: Path, origin: Origin) -> None:
    (origin.file.parent / "manifest.json").write_text(json.dumps({"format": 99}))
    assert trace_figure(data_dir, origin).state in {"broken", "unrecorded"}
