"""The stage `train` on a real, small version: what it leaves, what it does not do twice, what it goes on with."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

import matinee
from matinee.errors import LineageError, ModelConflictError, ModelError, UsageError, VersionNotFoundError
from matinee.lineage import Recorder
from matinee.model import checkpoint
from matinee.schema.progress import Silent
from matinee.train.evaluate import evaluate_split
from matinee.version import open_version
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.train.trained import Trained
    from matinee.version import Version

pytestmark = pytest.mark.usefixtures("quick_export")


class Listener(Silent):
    """Remembers what is said, and interrupts this process after a number of sequences."""

    def __init__(self, interrupt_after: int = -1) -> None:
        self.said: list[str] = []
        self._left = interrupt_after

    def say(self, line: str) -> None:
        self.said.append(line)

    def advance(self, amount: int) -> None:
        if self._left > 0:
            self._left -= amount
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGINT)


def train(version: Version, tmp_path: Path, model: str = "sse-pt", **more: object) -> Trained:
    place = {"data_dir": tmp_path / "data", "lineage": Recorder(tmp_path / "data" / "lineage"), "track": False}
    return matinee.train(version.folder, model=model, **place | more)  # type: ignore[arg-type]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def weights(trained: Trained) -> dict[str, np.ndarray]:
    return checkpoint.load(trained.folder)[0].arrays()


def test_a_counted_model(walked: Version, tmp_path: Path) -> None:
    trained = train(walked, tmp_path, "markov")
    assert trained.folder.parent == (tmp_path / "data" / "models" / "walks" / walked.id).absolute()
    assert (trained.fresh, trained.epochs, trained.ended) == (True, 0, "counted")
    model, facts = checkpoint.load(trained.folder)
    assert (facts.dataset, facts.version, facts.manifest_sha256) == ("walks", walked.id, walked.sha256)
    assert model.prior.weight == trained.prior_weight
    assert evaluate_split(model, walked).metrics == pytest.approx(trained.metrics)
    assert trained.metrics["hr@10"] > 0.5


def test_a_trained_model_and_its_picture(walked: Version, tmp_path: Path, tiny: dict[str, object]) -> None:
    listener = Listener()
    trained = train(walked, tmp_path, options=tiny, progress=listener)
    assert (trained.epochs, trained.ended) == (3, "epochs")
    assert set(trained.files) == {"checkpoint.json", "model.safetensors", "epochs.jsonl", "epochs.png", "model.onnx"}
    assert (trained.folder / "epochs.png").read_bytes().startswith(b"\x89PNG")
    assert len((trained.folder / "epochs.jsonl").read_text().splitlines()) == 3
    lines = [line for line in listener.said if line.startswith("epoch ")]
    assert len(lines) == 3
    assert "loss" in lines[0]
    assert "ndcg@10" in lines[0]
    assert "(best so far)" in lines[0]
    assert "sequences/s" in lines[0]


@pytest.mark.parametrize("model", ["popularity", "sse-pt"])
def test_the_same_words_again_do_nothing(model: str, walked: Version, tmp_path: Path, tiny: dict[str, object]) -> None:
    options = tiny if model == "sse-pt" else {}
    first = train(walked, tmp_path, model, options=options)
    before = times(first.folder)
    again = train(walked, tmp_path, model, options=options)
    assert not again.fresh
    assert (again.folder, again.metrics, again.files) == (first.folder, first.metrics, first.files)
    assert times(first.folder) == before


def test_other_words_are_another_model(walked: Version, tmp_path: Path, tiny: dict[str, object]) -> None:
    first = train(walked, tmp_path, options=tiny)
    assert train(walked, tmp_path, options=tiny, seed=1).folder != first.folder
    assert train(walked, tmp_path, options=tiny, prior="off").folder != first.folder
    assert train(walked, tmp_path, options=tiny, device="cpu").folder == first.folder
    texts = [f"{name}={value}" for name, value in tiny.items()]
    assert train(walked, tmp_path, options=texts).folder == first.folder, "typed or as a mapping"


def test_an_interrupted_training_goes_on_to_the_same_weights(
    walked: Version, tmp_path: Path, tiny: dict[str, object]
) -> None:
    whole = train(walked, tmp_path, options=tiny, out=tmp_path / "whole")
    listener = Listener(interrupt_after=20)
    with pytest.raises(KeyboardInterrupt):
        train(walked, tmp_path, options=tiny, progress=listener)
    assert "the same words go on from here" in listener.said[-1]
    listener = Listener()
    resumed = train(walked, tmp_path, options=tiny, progress=listener)
    assert "goes on after step" in listener.said[0]
    assert resumed.fresh
    assert resumed.metrics == whole.metrics
    for name, array in weights(whole).items():
        np.testing.assert_array_equal(array, weights(resumed)[name])


def test_a_model_that_lost_a_file_is_made_again(walked: Version, tmp_path: Path, tiny: dict[str, object]) -> None:
    first = train(walked, tmp_path, options=tiny)
    kept = weights(first)
    (first.folder / "model.safetensors").unlink()
    again = train(walked, tmp_path, options=tiny)
    assert again.fresh
    for name, array in kept.items():
        np.testing.assert_array_equal(array, weights(again)[name])


def test_a_model_with_a_changed_byte_is_made_again(walked: Version, tmp_path: Path) -> None:
    first = train(walked, tmp_path, "markov")
    path = first.folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert train(walked, tmp_path, "markov").fresh
    assert path.read_bytes() == content


def test_who_follows_does_not_wait_for_a_leader_who_has_the_model(
    walked: Version, tmp_path: Path, tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody answers at this address: to join the others there would be an error."""
    first = train(walked, tmp_path, options=tiny)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "none"}.items():
        monkeypatch.setenv(name, value)
    again = train(walked, tmp_path, options=tiny)
    assert (again.fresh, again.files) == (False, first.files)
    with pytest.raises(ValueError, match="none"):
        train(walked, tmp_path, options=tiny, force=True)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_what_is_counted_takes_one_process(
    rank: str, walked: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="model markov is counted by one process; train it without torchrun"):
        train(walked, tmp_path, "markov")


def test_a_folder_with_another_model_is_left_alone(walked: Version, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    first = train(walked, tmp_path, "markov", out=out)
    before = times(out)
    with pytest.raises(ModelConflictError, match=rf"mine: holds {first.name}, .*expected popularity-.*--force"):
        train(walked, tmp_path, "popularity", out=out)
    assert times(out) == before
    assert train(walked, tmp_path, "popularity", out=out, force=True).model == "popularity"


def test_force_trains_anew(walked: Version, tmp_path: Path) -> None:
    first = train(walked, tmp_path, "markov")
    (first.folder / "notes.txt").write_text("mine")
    assert train(walked, tmp_path, "markov", force=True).fresh
    assert (first.folder / "notes.txt").exists(), "what is not a training's stays"


def test_two_at_once_do_not_mix(walked: Version, tmp_path: Path, tiny: dict[str, object]) -> None:
    class Second(Silent):
        def say(self, line: str) -> None:
            with pytest.raises(ModelConflictError, match="another training is at work there"):
                train(walked, tmp_path, options=tiny)
            said.append(line)

    said: list[str] = []
    train(walked, tmp_path, options=tiny, progress=Second())
    assert len(said) == 3


@pytest.mark.parametrize(
    ("prior", "weight", "window_s"), [("off", 0.0, None), ("0.5", 0.5, None), ("0.25:7", 0.25, 604_800)]
)
def test_a_prior_of_ones_own(walked: Version, tmp_path: Path, prior: str, weight: float, window_s: int | None) -> None:
    trained = train(walked, tmp_path, "markov", prior=prior)
    assert (trained.prior_weight, trained.prior_window_s) == (weight, window_s)
    model, _ = checkpoint.load(trained.folder)
    assert (model.prior.weight, model.prior.window_s) == (weight, window_s)


def test_popularity_keeps_the_prior_that_it_is_made_of(walked: Version, tmp_path: Path) -> None:
    trained = train(walked, tmp_path, "recent-popularity", options={"window_days": 2})
    assert (trained.prior_weight, trained.prior_window_s) == (1.0, 172_800)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "bert4rec"}, r"model 'bert4rec' is unknown; known are sse-pt"),
        ({"options": {"dropuot": 0.5}}, r"model sse-pt has no setting 'dropuot', did you mean 'dropout'\?"),
        ({"options": ["dropout"]}, r"--set dropout: expected NAME=VALUE"),
        ({"options": {"dropout": "much"}}, r"dropout = 'much': expected a number"),
        ({"model": "markov", "epochs": 3}, r"model markov has no setting 'epochs'"),
        ({"prior": "some"}, r"prior 'some': expected auto, off, WEIGHT or WEIGHT:DAYS"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_made(
    walked: Version, tmp_path: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(walked, tmp_path, **more)  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()


def test_without_torch_it_says_what_to_install(
    walked: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"PyTorch is not installed; pip install 'matinee\[train\]', or .* markov"):
        train(walked, tmp_path)
    assert train(walked, tmp_path, "markov").fresh


def test_no_certificate_no_training(tmp_path: Path, walks: list[tuple[int, int, int]]) -> None:
    version = small_version(tmp_path / "v", walks)
    (version.folder / "certificate.json").unlink()
    with pytest.raises(VersionNotFoundError, match="has no certificate, so its splits cannot be trusted"):
        train(version, tmp_path, "markov")


def test_a_version_split_at_random_is_refused_before_anything_is_made(
    tmp_path: Path, walks: list[tuple[int, int, int]]
) -> None:
    version = small_version(tmp_path / "v", walks, split="random")
    with pytest.raises(UsageError, match="split at random, so that nobody has a history"):
        train(version, tmp_path)
    assert not (tmp_path / "data").exists()


def test_leaks_are_said(tmp_path: Path, walks: list[tuple[int, int, int]]) -> None:
    version = small_version(tmp_path / "v", walks, split="leave-one-out")
    listener = Listener()
    train(version, tmp_path, "markov", progress=listener)
    assert (
        f"careful: {open_version(version.folder).certificate.leaks} events of eval and test lie before"
        in listener.said[0]
    )


def test_nobody_to_validate_on(tmp_path: Path) -> None:
    version = small_version(tmp_path / "v", [(1, 1, 5), (1, 2, 5), (2, 1, 5), (2, 3, 5)])
    assert version.certificate.eval.rows == 0
    with pytest.raises(UsageError, match="its split eval has no events"):
        train(version, tmp_path, "markov")


def test_the_lineage_leads_to_the_model(walked: Version, tmp_path: Path) -> None:
    trained = train(walked, tmp_path, "markov")
    chain = matinee.trace(walked.id, data_dir=tmp_path / "data")
    link = chain.links[-1]
    assert (link.kind, link.what, link.state, link.where) == ("checkpoint", trained.name, "ok", str(trained.folder))
    path = trained.folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(LineageError, match=r"model.safetensors has [0-9a-f]{64}, expected"):
        matinee.trace(walked.id, data_dir=tmp_path / "data").verify()


def test_a_failed_training_is_told_as_one(walked: Version, tmp_path: Path, tiny: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="device 'meta'"):
        train(walked, tmp_path, options=tiny | {"device": "meta"})
    last = json.loads((tmp_path / "data" / "lineage" / "events.jsonl").read_text().splitlines()[-1])
    assert (last["job"]["name"], last["eventType"]) == ("train", "FAIL")
