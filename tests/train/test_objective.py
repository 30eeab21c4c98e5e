"""The loss of a whole batch against the oracle's states and the papers' formulas, its gradients against differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from matinee.model.personalized import PersonalizedTransformer
from matinee.model.recommender import Known
from matinee.model.sasrec import SASRecSettings
from matinee.model.sse_pt import SSEPTSettings
from matinee.train.objective import Objective
from sse_pt_oracle import Oracle

if TYPE_CHECKING:
    from numpy.typing import NDArray

KNOWN = Known(np.arange(5) > 0, np.array([0, 1, 1, 1, 0, 1, 1, 0], np.bool_))
ITEMS = KNOWN.items.sum()

# Three people, right-padded; a person and an item that are UNK, a target among the shared negatives.
USERS = [3, 0, 1]
HISTORIES = [[1, 2, 0, 5], [6], [3, 3]]
TARGETS = [[2, 3, 5, 6], [1], [3, 5]]
OWN_NEGATIVES = [[5, 6, 1, 2], [3], [6, 6]]
SHARED_NEGATIVES = [5, 1, 6]


def objective_of(loss: str, norm: str, *, personal: bool, seed: int = 0) -> Objective:
    common: dict[str, Any] = {"maxlen": 5, "item_dim": 4, "blocks": 2, "heads": 2, "dropout": 0.0}
    common |= {"loss": loss, "norm": norm, "gbce_t": 0.6}
    settings = SSEPTSettings(**common, user_dim=2) if personal else SASRecSettings(**common)
    network = PersonalizedTransformer(settings, KNOWN).double()
    chance = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(chance.normal(scale=0.5, size=parameter.shape)))
    return Objective(network, settings)


def padded(rows: list[list[int]]) -> torch.Tensor:
    return torch.tensor([row + [0] * (4 - len(row)) for row in rows])


def batch_for(loss: str) -> tuple[torch.Tensor, ...]:
    negatives = {"bce": padded(OWN_NEGATIVES), "softmax": torch.zeros(0, dtype=torch.int64)}
    lengths = torch.tensor([*map(len, HISTORIES)])
    shared = torch.tensor(SHARED_NEGATIVES)
    return torch.tensor(USERS), padded(HISTORIES), lengths, padded(TARGETS), negatives.get(loss, shared)


def expected_loss(objective: Objective, loss: str) -> float:
    network, form = objective.network, objective.settings
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    oracle = Oracle(weights, form.maxlen, form.blocks, form.heads, pre_norm=form.norm == "pre", scale=form.scale)
    total = 0.0
    for user, history, targets, own in zip(USERS, HISTORIES, TARGETS, OWN_NEGATIVES, strict=True):
        person = None if network.users is None else weights["users.weight"][user]
        for state, target, negative in zip(oracle.states(history, person), targets, own, strict=True):
            scores = np.array([oracle.score(state, item, person) for item in range(KNOWN.items.size)])
            halves = weights["items.weight"] @ state[: form.item_dim]
            others = [item for item in SHARED_NEGATIVES if item != target]
            total += {
                "bce": lambda s, _h, t, n, _o: np.log1p(np.exp(-s[t])) + np.log1p(np.exp(s[n])),
                "gbce": _gbce,
                "sampled-softmax": _sampled,
                "softmax": lambda _s, h, t, _n, _o: np.log(np.exp(h[KNOWN.items]).sum()) - h[t],
            }[loss](scores, halves, target, negative, others)
    return total


def _gbce(
    _scores: NDArray[np.float64], halves: NDArray[np.float64], target: int, _own: int, others: list[int]
) -> float:
    alpha = len(SHARED_NEGATIVES) / (ITEMS - 1)
    beta = alpha * (0.6 * (1 - 1 / alpha) + 1 / alpha)
    return float(beta * np.log1p(np.exp(-halves[target])) + np.log1p(np.exp(halves[others])).sum())


def _sampled(
    _scores: NDArray[np.float64], halves: NDArray[np.float64], target: int, _own: int, others: list[int]
) -> float:
    whole = np.exp(halves[target]) + np.exp(halves[others]).sum() * ITEMS / len(SHARED_NEGATIVES)
    return float(np.log(whole) - halves[target])


every_loss = pytest.mark.parametrize("loss", ["bce", "gbce", "sampled-softmax", "softmax"])
every_form = pytest.mark.parametrize("norm", ["query", "pre"])
both_models = pytest.mark.parametrize("personal", [True, False], ids=["sse-pt", "sasrec"])


@every_loss
@every_form
@both_models
def test_the_loss_is_the_papers(loss: str, norm: str, personal: bool) -> None:
    objective = objective_of(loss, norm, personal=personal)
    with torch.no_grad():
        assert objective(*batch_for(loss)).item() == pytest.approx(expected_loss(objective, loss))


@every_loss
@every_form
@both_models
def test_gradients_are_those_of_finite_differences(loss: str, norm: str, personal: bool) -> None:
    """Every single weight; the tables' gradients are sparse where training has them so."""
    objective, batch = objective_of(loss, norm, personal=personal, seed=1), batch_for(loss)
    objective(*batch).backward()
    step = 1e-6
    for name, parameter in objective.network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.is_sparse == (name == "users.weight" or (name == "items.weight" and loss != "softmax"))
        gradient = parameter.grad.to_dense().flatten()
        weights = parameter.data.view(-1)
        places = np.random.default_rng(0).permutation(weights.numel())[:8].tolist()
        for place in places:
            there = weights[place].item()
            with torch.no_grad():
                weights[place] = there + step
                above = objective(*batch).item()
                weights[place] = there - step
                below = objective(*batch).item()
                weights[place] = there
            assert gradient[place].item() == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-6), name


@every_loss
def test_shares_add_up(loss: str) -> None:
    """The loss of a batch is the sum over its rows, and nobody's share is nothing; gradients likewise."""
    objective, batch = objective_of(loss, "pre", personal=True), batch_for(loss)
    objective(*batch).backward()
    parameters = [*objective.parameters()]
    whole = [parameter.grad.to_dense() for parameter in parameters if parameter.grad is not None]
    total = 0.0
    for parameter in parameters:
        parameter.grad = None
    for share in (slice(0, 0), slice(0, 1), slice(1, 3)):
        *rows, negatives = batch
        mine = negatives[share] if loss == "bce" else negatives
        part = objective(*(tensor[share] for tensor in rows), mine)
        part.backward()
        total += part.item()
    assert total == pytest.approx(objective(*batch).item())
    for parameter, gradient in zip(parameters, whole, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad.to_dense(), gradient)


@every_loss
def test_mixed_precision_is_near(loss: str) -> None:
    objective, batch = objective_of(loss, "pre", personal=True).float(), batch_for(loss)
    exact = objective(*batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = objective(*batch)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=0.03, atol=0)
    mixed.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
