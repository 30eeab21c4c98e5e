"""`matinee.export` and `matinee export`: the files, what is told of them, and what ends in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import matinee
from exported_model import make_network, save_network
from matinee.cli import main
from matinee.errors import ModelError, ModelNotFoundError, UsageError
from matinee.model import checkpoint, pth
from matinee.model.agreement import random_histories
from matinee.model.onnx_recommender import open_onnx
from matinee.model.table import MODELS
from toy_model import ENTRY, facts_of, make_toy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trained network."""
    save_network(tmp_path / "model", make_network("sasrec"))
    return tmp_path / "model"


def test_onnx_lies_beside_the_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = (folder / "checkpoint.json").read_bytes()
    assert main(["export", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(folder / "model.onnx")
    assert (told["format"], told["model"]) == ("onnx", "sasrec")
    assert told["size_bytes"] == (folder / "model.onnx").stat().st_size
    assert told["agreement"]["histories"] == told["agreement"]["same_lists"] == 1_000
    assert told["agreement"]["difference"] < 1e-4
    assert told["original_ms"] > 0 < told["exported_ms"]
    assert open_onnx(folder)[1].model == "sasrec"
    assert (folder / "checkpoint.json").read_bytes() == facts


def test_an_export_that_answers_otherwise_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_network("sasrec", seed=9)
    right = pth.write_pth
    monkeypatch.setattr(pth, "write_pth", lambda _, facts, path: right(other, facts, path))
    with pytest.raises(ModelError, match=r"differ by up to .* from those of sasrec, expected at most 0\.0001"):
        matinee.export(folder, format="pth")


def test_there_and_back_as_a_state_dict(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(folder), "--format", "pth", "--out", str(tmp_path / "far" / "weights.pth")]) == 0
    assert main(["export", str(tmp_path / "far" / "weights.pth"), "--format", "safetensors"]) == 0
    told = capsys.readouterr().out
    assert f"sasrec as pth in {tmp_path / 'far' / 'weights.pth'}" in told
    assert "same top 10         1,000 of 1,000 random histories" in told
    model, facts = checkpoint.load(tmp_path / "far" / "weights")
    original, before = checkpoint.load(folder)
    asked = random_histories(original.known, 6, 20)
    np.testing.assert_array_equal(model.scores(asked), original.scores(asked))
    assert facts == before


def test_a_counted_model_is_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MODELS, "toy", ENTRY)
    checkpoint.save(tmp_path / "toy", make_toy(), facts_of(make_toy()))
    for kind in ("onnx", "pth"):
        assert main(["export", str(tmp_path / "toy"), "--format", kind]) == 2
        assert capsys.readouterr().err.startswith("matinee: toy is counted")


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        matinee.export(tmp_path / "none")
    with pytest.raises(ModelNotFoundError, match=r"none\.pth\.json: there is no such file"):
        matinee.export(tmp_path / "none.pth", format="safetensors")
    with pytest.raises(UsageError, match="this is a folder"):
        matinee.export(folder, format="safetensors")
    with pytest.raises(UsageError, match="--format 'hdf5': expected onnx, pth or safetensors"):
        matinee.export(folder, format="hdf5")  # type: ignore[arg-type]


def test_a_place_that_cannot_be_written_to_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ModelError, match=r"taken: no folder can be made there"):
        matinee.export(folder, format="pth", out=tmp_path / "taken" / "weights.pth")
    with pytest.raises(UsageError, match="a folder, expected a file to write"):
        matinee.export(folder, format="pth", out=tmp_path)
    matinee.export(folder, format="pth", out=tmp_path / "weights.pth")
    with pytest.raises(ModelError, match=r"taken: no folder can be made there"):
        matinee.export(tmp_path / "weights.pth", format="safetensors", out=tmp_path / "taken")
