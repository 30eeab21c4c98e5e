"""What stands between dense ids and a network: rows, strangers, batches of like length, weights in and out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from matinee.model import neural
from matinee.model.histories import Histories
from matinee.model.recommender import Known
from matinee.model.sasrec import SASRec, SASRecSettings
from matinee.model.sse_pt import SSEPT, SSEPTSettings
from sse_pt_oracle import Oracle

KNOWN = Known(np.array([0, 1, 1, 0, 1, 0], np.bool_), np.array([0, 1, 1, 1, 0, 1, 1, 0], np.bool_))
SETTINGS = SSEPTSettings(maxlen=4, item_dim=6, user_dim=4, heads=2)


@pytest.fixture
def model() -> SSEPT:
    model = SSEPT.initial(SETTINGS, KNOWN, seed=3)
    chance = np.random.default_rng(4)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_(torch.from_numpy(chance.normal(scale=0.5, size=parameter.shape)))
    return model


def test_scores_are_the_oracles(model: SSEPT) -> None:
    asked = Histories.of([1, 3, 0, 4, 99, 2], [[1, 4, 7, 3, 2], [5], [], [7, 99], [2, 3], [6, 6, 6, 1]])
    weights = {name: array.astype(np.float64) for name, array in model.arrays().items()}
    oracle = Oracle(weights, SETTINGS.maxlen, SETTINGS.blocks, SETTINGS.heads, pre_norm=True, scale=True)
    mean = weights["users.weight"][[1, 2, 4]].mean(axis=0)
    scores = model.scores(asked)
    for row, user in enumerate(asked.users.tolist()):
        history = asked.items[asked.offsets[row] : asked.offsets[row + 1]].tolist()
        tokens = [item if item in (1, 2, 3, 5, 6) else 0 for item in history][-4:] or [0]
        state = oracle.states(tokens, weights["users.weight"][user] if user in (1, 2, 4) else mean)[-1]
        expected = weights["items.weight"] @ state[: SETTINGS.item_dim]
        np.testing.assert_allclose(scores[row, KNOWN.items], expected[KNOWN.items], rtol=1e-4, atol=1e-4)
        assert (scores[row, ~KNOWN.items] == -np.inf).all()


def test_batches_make_no_difference(model: SSEPT, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(1)
    histories = [chance.integers(1, 8, chance.integers(0, 7)).tolist() for _ in range(50)]
    asked = Histories.of(chance.integers(0, 6, 50).tolist(), histories)
    whole = model.scores(asked)
    monkeypatch.setattr(neural, "_BATCH", 7)
    np.testing.assert_allclose(model.scores(asked), whole, rtol=1e-5, atol=1e-5)


def test_weights_follow_from_the_seed_alone() -> None:
    state = torch.get_rng_state()
    one, same, other = (SSEPT.initial(SETTINGS, KNOWN, seed=seed).arrays() for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["items.weight"], other["items.weight"])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_made_of_arrays_can_be_trained_on(model: SSEPT) -> None:
    arrays = model.arrays()
    again = SSEPT.from_arrays(SETTINGS, KNOWN, arrays)
    assert all(parameter.requires_grad for parameter in again.network.parameters())
    assert again.network.known_items.tolist() == KNOWN.items.tolist()
    with torch.no_grad():
        again.network.items.weight += 1
    assert not np.array_equal(again.arrays()["items.weight"], model.arrays()["items.weight"])


def test_arrays_of_another_size_are_named(model: SSEPT) -> None:
    with pytest.raises(ValueError, match=r"^items\.weight has shape \(8, 6\), expected \(9, 6\)$"):
        SSEPT.from_arrays(SETTINGS, Known(KNOWN.users, np.append(KNOWN.items, True)), model.arrays())


def test_scoring_leaves_no_trace(model: SSEPT) -> None:
    """No gradient, no random number, the same weights."""
    state, before = torch.get_rng_state(), {name: array.copy() for name, array in model.arrays().items()}
    model.network.train()
    model.scores(Histories.of([1, 2], [[1], [2, 3]]))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert all(np.array_equal(array, before[name]) for name, array in model.arrays().items())


def test_nobody_is_a_stranger_to_sasrec() -> None:
    model = SASRec.initial(SASRecSettings(maxlen=4, item_dim=6), KNOWN)
    warm, cold, nobody = model.scores(Histories.of([1, 3, 0], [[1, 2]] * 3))
    np.testing.assert_allclose(cold, warm, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nobody, warm, rtol=1e-5, atol=1e-6)
