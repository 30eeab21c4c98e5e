"""Training from a trained model on the version that goes on from its own: what it begins with, keeps, and refuses."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

import matinee
from matinee.errors import ModelMismatchError, ModelNotFoundError, UsageError
from matinee.lineage import Recorder
from matinee.lineage.journal import read
from matinee.model import checkpoint
from matinee.model.checkpoint import check_matches
from matinee.model.histories import Histories
from matinee.schema.progress import Silent
from matinee.train.evaluate import evaluate_split
from small_version import next_version, small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.train.trained import Trained
    from matinee.version import Version

pytestmark = pytest.mark.usefixtures("quick_export")

Walks = list[tuple[int, int, int]]


@pytest.fixture(scope="module")
def later(walks: Walks) -> Walks:
    """What came after the walks: old people and new ones, on old items and new ones."""
    chance, begun = random.Random(8), walks[-1][2]
    return [(chance.randrange(20, 60), 100 + chance.randrange(8, 26), begun + 10 * number) for number in range(1, 250)]


@pytest.fixture(scope="module")
def following(tmp_path_factory: pytest.TempPathFactory, walked: Version, later: Walks) -> Version:
    """The version of both; not to be changed."""
    return next_version(tmp_path_factory.mktemp("following"), walked, later)


def train(version: Version, folder: Path, model: str = "sse-pt", **more: object) -> Trained:
    place = {"data_dir": folder / "data", "lineage": Recorder(folder / "data" / "lineage"), "track": False}
    return matinee.train(version.folder, model=model, **place | more)  # type: ignore[arg-type]


TINY: dict[str, object] = {"item_dim": 4, "blocks": 1, "maxlen": 6, "negatives": 4, "epochs": 3, "batch_size": 8}
OWN: dict[str, dict[str, object]] = {"sse-pt": TINY | {"user_dim": 4}, "sasrec": TINY}


@pytest.fixture
def parent(walked: Version, tmp_path: Path) -> Trained:
    """A trained model."""
    return train(walked, tmp_path / "parents", options=OWN["sse-pt"], prior="0.5")


@pytest.mark.parametrize("name", ["sse-pt", "sasrec"])
def test_it_begins_with_what_the_parent_knew_and_trains_on(
    name: str, walked: Version, following: Version, tmp_path: Path
) -> None:
    parent = train(walked, tmp_path / "parents", name, options=OWN[name], prior="0.5")
    asked = {"start_from": parent.folder, "options": {"epochs": 2, "batch_size": 8}, "prior": "off"}
    still = train(following, tmp_path, name, **asked, learning_rate=1e-12)
    old, before = checkpoint.load(parent.folder)
    new, facts = checkpoint.load(still.folder)
    assert facts.settings == before.settings
    people = Histories.of([1, 7, 39, 45, 0], [[1, 2, 3], [19], [5, 4, 3, 2, 1, 5], [20, 2], []])
    columns = np.flatnonzero(old.known.items)
    np.testing.assert_allclose(new.scores(people)[:, columns], old.scores(people)[:, columns], rtol=0, atol=1e-5)
    moved = train(following, tmp_path, name, **asked, learning_rate=0.01)
    other, _ = checkpoint.load(moved.folder)
    assert not np.allclose(other.scores(people)[:, columns], old.scores(people)[:, columns], atol=1e-3)
    assert facts.parent == hashlib.sha256((parent.folder / "checkpoint.json").read_bytes()).hexdigest()
    assert moved.words["start_from"] == facts.parent
    check_matches(facts, following.manifest.users, following.manifest.items)
    assert evaluate_split(other, following).metrics == pytest.approx(moved.metrics)
    fresh = train(following, tmp_path, name, options={"epochs": 2, "batch_size": 8, **facts.settings}, prior="off")
    assert fresh.folder not in {still.folder, moved.folder}
    assert checkpoint.load(fresh.folder)[1].parent == ""


def test_the_lineage_names_the_parent(parent: Trained, following: Version, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "lineage")
    made = train(following, tmp_path, start_from=parent.folder, epochs=1, lineage=recorder)
    assert recorder.path is not None
    (run,) = read(recorder.path)
    assert [(artifact.kind, artifact.version) for artifact in run.inputs] == [
        ("version", following.id),
        ("checkpoint", parent.version),
    ]
    assert run.inputs[1].sha256 == made.words["start_from"]
    assert matinee.trace(following.id, data_dir=tmp_path).whole


def test_interrupted_it_goes_on_and_from_another_parent_it_is_another(
    parent: Trained, walked: Version, following: Version, tmp_path: Path
) -> None:
    asked = {"start_from": parent.folder, "epochs": 2, "prior": "off"}
    whole = train(following, tmp_path, **asked, out=tmp_path / "whole")

    class Interrupting(Silent):
        left = 20

        def advance(self, amount: int) -> None:
            self.left -= amount
            if self.left <= 0 < self.left + amount:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(following, tmp_path, **asked, progress=Interrupting())
    resumed = train(following, tmp_path, **asked)
    ours, theirs = (checkpoint.load(trained.folder)[0].arrays() for trained in (whole, resumed))
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert not train(following, tmp_path, **asked).fresh
    other = train(walked, tmp_path, options=checkpoint.read_facts(whole.folder).settings, epochs=1, seed=9)
    assert train(following, tmp_path, **asked | {"start_from": other.folder}).folder != resumed.folder


def test_what_may_not_be_started_from_is_refused(
    parent: Trained, walked: Version, following: Version, walks: Walks, later: Walks, tmp_path: Path
) -> None:

    def refused(version: Version, error: type[Exception], line: str, **more: object) -> None:
        with pytest.raises(error, match=line):
            train(version, tmp_path, **{"start_from": parent.folder} | more)  # type: ignore[arg-type]

    swapped = small_version(tmp_path / "swapped", [(5000, 100, 1), *walks, *later], name="walks")
    refused(swapped, ModelMismatchError, r"40 user ids \(SHA-256 \w{12}\), and the \d+ of walks \w+ do not begin with")
    items = small_version(tmp_path / "items", [(walks[0][0], 999, walks[0][2] - 1), *walks, *later], name="walks")
    refused(items, ModelMismatchError, r"20 item ids")
    refused(small_version(tmp_path / "fewer", walks[:30]), ModelMismatchError, "do not begin with them")
    refused(following, UsageError, r"is sse-pt, expected sasrec; pass --model sse-pt", model="sasrec")
    refused(following, UsageError, r"model markov is counted anew .* leave --start-from out", model="markov")
    refused(following, UsageError, r"item_dim = 8: the model in .* has 4", options={"item_dim": "8"})
    refused(following, ModelNotFoundError, "no folder with a checkpoint.json", start_from="walks/sse-pt")
    early = next_version(tmp_path / "early", walked, later[:3], past="train")
    refused(early, UsageError, r"was trained on events up to \d+, and eval of walks \w+ begins at \d+, so what")
    # The same setting said again is no conflict.
    assert train(following, tmp_path, start_from=parent.folder, options={"item_dim": 4, "epochs": 1}).epochs == 1
