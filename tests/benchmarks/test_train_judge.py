"""A peer is judged by its vectors exactly as Matinee's own models are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from exchange import MOMENTS
from leave_one_out import make_version

from matinee.model.histories import Histories
from matinee.train.evaluate import evaluate_split
from train_judge import StateVectors, judge

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.schema.layout import Split
    from matinee.version import Version

_USERS, _ITEMS, _EACH = 30, 12, 6


@pytest.fixture
def version(tmp_path: Path) -> Version:
    random = np.random.default_rng(3)
    taken = [random.permutation(_ITEMS)[:_EACH] for _ in range(_USERS)]
    return make_version(tmp_path, [(who + 1, int(taken[who][at]) + 1) for at in range(_EACH) for who in range(_USERS)])


def _history(version: Version, user: int, moment: Split) -> list[int]:
    splits: list[Split] = ["train"] if moment == "eval" else ["train", "eval"]
    return [item for split in splits for item in version.sequences(split).of(user).tolist()]


def _write_snapshot(folder: Path, version: Version, seed: int) -> None:
    random = np.random.default_rng(seed)
    folder.mkdir()
    for moment in MOMENTS:
        np.save(folder / f"{moment}.npy", random.normal(size=(version.users, 4)).astype(np.float32))
    np.save(folder / "items.npy", random.normal(size=(version.items + 1, 4)).astype(np.float32))


@pytest.mark.parametrize("moment", MOMENTS)
def test_ranks_are_those_of_dot_products_without_the_history(tmp_path: Path, version: Version, moment: Split) -> None:
    _write_snapshot(tmp_path / "snapshot", version, 1)
    found = evaluate_split(
        StateVectors(version, moment, tmp_path / "snapshot"), version, split=moment, protocol="leave-one-out"
    )
    states, items = (np.load(tmp_path / "snapshot" / f"{part}.npy") for part in (moment, "items"))
    for user, target, rank in zip(found.users.tolist(), found.targets.tolist(), found.ranks.tolist(), strict=True):
        assert target == version.sequences(moment).of(user)[-1]
        scores = {item: float(states[user - 1] @ items[item]) for item in range(1, version.items + 1)}
        others = set(scores) - set(_history(version, user, moment)) - {target}
        assert rank == 1 + sum(scores[item] >= scores[target] for item in others)


def test_an_item_without_a_row_ranks_last(tmp_path: Path, version: Version) -> None:
    _write_snapshot(tmp_path / "snapshot", version, 1)
    items = np.load(tmp_path / "snapshot" / "items.npy")
    items[5] = np.nan
    np.save(tmp_path / "snapshot" / "items.npy", items)
    model = StateVectors(version, "test", tmp_path / "snapshot")
    scores = model.scores(Histories.of([1], [_history(version, 1, "test")]))
    assert scores.shape == (1, version.items + 1)
    assert np.flatnonzero(~np.isfinite(scores[0])).tolist() == [0, 5]


def test_a_history_nobody_spoke_for_is_refused(tmp_path: Path, version: Version) -> None:
    _write_snapshot(tmp_path / "snapshot", version, 1)
    model = StateVectors(version, "test", tmp_path / "snapshot")
    with pytest.raises(ValueError, match="no state was said for"):
        model.scores(Histories.of([1], [_history(version, 1, "eval")]))


def test_the_snapshot_that_is_best_on_validation_is_tested(tmp_path: Path, version: Version) -> None:
    for number in range(3):
        _write_snapshot(tmp_path / f"snapshot-{number}", version, number)
    best = tmp_path / "snapshot-1"
    targets = [version.sequences("eval").of(user)[-1] for user in range(1, version.users + 1)]
    items = np.vstack([np.zeros((1, version.items)), np.eye(version.items)]).astype(np.float32)
    np.save(best / "items.npy", items)
    np.save(best / "eval.npy", items[targets])
    np.save(best / "test.npy", np.zeros_like(items[targets]))  # all alike: the worst on test
    told = [{"folder": f"snapshot-{number}", "trained_s": 10 * number} for number in range(3)]
    (tmp_path / "run.json").write_text(json.dumps({"snapshots": told}))
    found = judge(version, tmp_path)
    assert found["best_s"] == 10
    assert found["snapshots"][1]["ndcg@10"] == 1
    whole = found["judged"]["leave-one-out, full ranking"]
    assert whole["metrics"]["mrr@10"] == pytest.approx(1 / (version.items - _EACH + 1))
    assert set(found["judged"]) == {"leave-one-out, full ranking", "leave-one-out, 100 negatives"}
