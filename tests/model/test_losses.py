"""Losses against the papers' formulas, written out position by position in NumPy."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch

from matinee.model.losses import bce, gbce, sampled_softmax, softmax

M, D, N, K = 7, 4, 11, 6  # positions, dimensions, items 1..N, negatives


class Problem:
    """States (M, D), item vectors (N + 1, D), targets (M,) and shared negatives (K,), one of them a target."""

    def __init__(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        self.states, self.items = chance.normal(size=(M, D)), chance.normal(size=(N + 1, D))
        self.targets, self.negatives = chance.integers(1, N + 1, M), chance.integers(1, N + 1, K)
        self.negatives[0] = self.targets[2]
        self.same = self.targets[:, None] == self.negatives

    def score(self, position: int, item: int) -> float:
        return float(self.states[position] @ self.items[item])

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        states, items, same = map(torch.from_numpy, (self.states, self.items, self.same))
        return states, items[self.targets], items[self.negatives], same


@pytest.fixture(params=range(5))
def problem(request: pytest.FixtureRequest) -> Problem:
    return Problem(request.param)


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


@pytest.mark.parametrize("biased", [False, True])
def test_bce(problem: Problem, biased: bool) -> None:
    other = np.random.default_rng(9).integers(1, N + 1, M)
    bias = np.random.default_rng(8).normal(size=M) if biased else np.zeros(M)
    expected = 0.0
    for position in range(M):
        positive = problem.score(position, problem.targets[position]) + bias[position]
        negative = problem.score(position, other[position]) + bias[position]
        expected -= log(sigmoid(positive)) + log(1 - sigmoid(negative))
    states, targets, _, _ = problem.tensors()
    found = bce(states, targets, torch.from_numpy(problem.items[other]), torch.from_numpy(bias) if biased else None)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("t", [0.0, 0.5, 0.75, 1.0])
def test_gbce(problem: Problem, t: float) -> None:
    """Petrov and Macdonald 2023: -log(sigmoid(s+)^beta) - sum log(1 - sigmoid(s-)), alpha = K / (items - 1)."""
    alpha = K / (N - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    expected = 0.0
    for position, target in enumerate(problem.targets):
        expected -= log(sigmoid(problem.score(position, target)) ** beta)
        for negative in problem.negatives:
            if negative != target:
                expected -= log(1 - sigmoid(problem.score(position, negative)))
    assert gbce(*problem.tensors(), items=N, t=t).item() == pytest.approx(expected)


def test_gbces_ends() -> None:
    """T = 0 is plain BCE, t = 1 weighs the positive by the sampling rate alone."""
    problem = Problem(1)
    states, targets, _, _ = problem.tensors()
    none = torch.ones(M, K, dtype=torch.bool)  # every negative left out: the positive's part alone
    negatives = problem.tensors()[2]
    positive = torch.nn.functional.softplus(-(states * targets).sum(-1)).sum().item()
    assert gbce(states, targets, negatives, none, items=N, t=0).item() == pytest.approx(positive)
    assert gbce(states, targets, negatives, none, items=N, t=1).item() == pytest.approx(positive * K / (N - 1))


def test_sampled_softmax(problem: Problem) -> None:
    expected = 0.0
    for position, target in enumerate(problem.targets):
        positive = exp(problem.score(position, target))
        others = [exp(problem.score(position, item)) * N / K for item in problem.negatives if item != target]
        expected -= log(positive / (positive + sum(others)))
    assert sampled_softmax(*problem.tensors(), items=N).item() == pytest.approx(expected)


def test_softmax(problem: Problem) -> None:
    unknown = np.zeros(N + 1, np.bool_)
    unknown[[0, next(item for item in range(1, N + 1) if item not in problem.targets)]] = True
    expected = 0.0
    for position, target in enumerate(problem.targets):
        whole = sum(exp(problem.score(position, item)) for item in range(N + 1) if not unknown[item])
        expected -= log(exp(problem.score(position, target)) / whole)
    states, items, targets, mask = map(torch.from_numpy, (problem.states, problem.items, problem.targets, unknown))
    assert softmax(states, items, targets, mask).item() == pytest.approx(expected)


def test_all_items_as_negatives_are_the_whole_softmax(problem: Problem) -> None:
    problem.negatives = np.arange(1, N + 1)
    problem.same = problem.targets[:, None] == problem.negatives
    unknown = torch.arange(N + 1) == 0
    states, items, targets = map(torch.from_numpy, (problem.states, problem.items, problem.targets))
    whole = softmax(states, items, targets, unknown)
    assert sampled_softmax(*problem.tensors(), items=N).item() == pytest.approx(whole.item())


def test_sampled_negatives_stand_for_the_others_without_bias() -> None:
    """Over many draws, the mean weight of the negatives is that of all items but the target; fewer or more than N."""
    problem = Problem(4)
    target = int(problem.targets[0])
    others = sum(exp(problem.score(0, item)) for item in range(1, N + 1) if item != target)
    state, items = torch.from_numpy(problem.states[:1]), torch.from_numpy(problem.items)
    positive = problem.score(0, target)
    for drawn in (3, 40):
        weights = []
        for draw in np.random.default_rng(drawn).integers(1, N + 1, (1500, drawn)):
            same = torch.from_numpy(draw == target)[None]
            loss = sampled_softmax(state, items[[target]], items[draw], same, items=N).item()
            weights.append((exp(loss) - 1) * exp(positive))
        assert np.mean(weights) == pytest.approx(others, rel=4 * np.std(weights) / others / len(weights) ** 0.5)


def test_nothing_but_own_targets_as_negatives() -> None:
    """A batch can draw only a position's own target; there is nothing to tell it from, and nothing breaks."""
    states, targets = torch.randn(1, D, requires_grad=True), torch.randn(1, D)
    same = torch.ones(1, 2, dtype=torch.bool)
    for loss in (
        sampled_softmax(states, targets, targets.repeat(2, 1), same, items=5),
        gbce(states, targets, targets.repeat(2, 1), same, items=5, t=0.5),
        gbce(states, targets, targets.repeat(2, 1), same, items=1, t=0.5),
    ):
        (gradient,) = torch.autograd.grad(loss, states)
        assert loss.isfinite()
        assert gradient.isfinite().all()


def test_a_catalogue_of_large_scores_does_not_overflow() -> None:
    states, items = torch.full((2, 1), 300.0), torch.tensor([[0.0], [1.0], [-1.0]])
    targets, same = torch.tensor([1, 2]), torch.zeros(2, 2, dtype=torch.bool)
    for loss in (
        softmax(states, items, targets, torch.tensor([True, False, False])),
        sampled_softmax(states, items[targets], items[[1, 2]], same, items=2),
        gbce(states, items[targets], items[[1, 2]], same, items=3, t=0.75),
        bce(states, items[targets], items[[2, 1]]),
    ):
        assert loss.isfinite()


def test_under_autocast_sums_are_exact() -> None:
    """bfloat16 has eight bits; a sum over a catalogue would lose all that training is about."""
    torch.manual_seed(5)
    states, items = torch.randn(64, 16), torch.randn(2000, 16)
    targets, negatives = torch.randint(1, 2000, (64,)), torch.randint(1, 2000, (500,))
    same, unknown = targets[:, None] == negatives, torch.arange(2000) == 0

    def losses() -> list[torch.Tensor]:
        return [
            softmax(states, items, targets, unknown),
            sampled_softmax(states, items[targets], items[negatives], same, items=1999),
            gbce(states, items[targets], items[negatives], same, items=1999, t=0.75),
        ]

    exact = losses()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = losses()
    for one, other in zip(rounded, exact, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=2e-3, atol=0)
