from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from matinee.train.optimiser import Optimiser
from matinee.train.train_settings import TrainSettings


class Net(nn.Module):
    """A sparse table, which some steps touch little of, and a dense part."""

    def __init__(self, *, sparse: bool = True) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(6, 3, sparse=sparse)
        self.layer = nn.Linear(3, 2)

    def loss(self, rows: list[int], factor: float = 1.0) -> torch.Tensor:
        return factor * self.layer(self.table(torch.tensor(rows))).square().sum()


ROWS = [[1, 2, 2], [3], [1, 1, 5], [2]]


def plan(**said: Any) -> TrainSettings:
    return TrainSettings(**{"learning_rate": 0.1, "clip_norm": 0.0, **said})


def trained(net: Net, settings: TrainSettings, rows: list[list[int]] = ROWS) -> Optimiser:
    optimiser = Optimiser(net, settings, 100)
    for step, touched in enumerate(rows):
        net.loss(touched).backward()
        optimiser.step(step)
    return optimiser


def test_it_is_adam_written_out() -> None:
    """Kingma and Ba 2015, algorithm 1, in NumPy; rows that a batch does not touch keep weights and moments."""
    net, rate, beta1, beta2 = Net(), 0.1, 0.9, 0.95
    optimiser = Optimiser(net, plan(beta2=beta2), 100)
    table, layer = (p.detach().double().numpy().copy() for p in (net.table.weight, net.layer.weight))
    state = {name: [np.zeros_like(x), np.zeros_like(x)] for name, x in (("table", table), ("layer", layer))}
    for step, touched in enumerate(ROWS):
        net.loss(touched).backward()
        gradients = {"table": net.table.weight.grad, "layer": net.layer.weight.grad}
        for name, weights in (("table", table), ("layer", layer)):
            gradient = gradients[name]
            assert gradient is not None
            rows = sorted({*touched}) if name == "table" else slice(None)
            slope = gradient.to_dense().double().numpy()[rows]
            first, second = state[name]
            first[rows] = beta1 * first[rows] + (1 - beta1) * slope
            second[rows] = beta2 * second[rows] + (1 - beta2) * slope**2
            corrected = second[rows] / (1 - beta2 ** (step + 1))
            weights[rows] -= rate * first[rows] / (1 - beta1 ** (step + 1)) / (np.sqrt(corrected) + 1e-8)
        optimiser.step(step)
        assert net.table.weight.grad is None
        np.testing.assert_allclose(net.table.weight.detach().numpy(), table, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(net.layer.weight.detach().numpy(), layer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [1e-3, 1e3], ids=["small", "large"])
@pytest.mark.parametrize("rows", ROWS)
def test_clipping_is_torchs_over_sparse_and_dense_together(factor: float, rows: list[int]) -> None:
    net, twin = Net(), Net(sparse=False)
    twin.load_state_dict(net.state_dict())
    for each in (net, twin):
        each.loss(rows, factor).backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
    Optimiser(net, plan(), 100)._clip(0.5)
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad.to_dense(), theirs.grad)


@pytest.mark.parametrize("touched", [ROWS, [[1]] * 3])
def test_it_goes_on_from_its_arrays(touched: list[list[int]]) -> None:
    settings, net = plan(clip_norm=1.0, schedule="cosine"), Net()
    optimiser = trained(net, settings, touched)
    twin = copy.deepcopy(net)
    again = Optimiser(twin, settings, 100)
    again.restore({name: array.copy() for name, array in optimiser.arrays().items()})
    for step in range(4, 8):
        for each, by in ((net, optimiser), (twin, again)):
            each.loss(ROWS[step % 4]).backward()
            by.step(step)
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert {name: array.tolist() for name, array in optimiser.arrays().items()} == {
        name: array.tolist() for name, array in again.arrays().items()
    }


def test_arrays_of_another_network_are_refused() -> None:
    arrays = trained(Net(), plan()).arrays()
    small = np.zeros((1, 1), np.float32)
    assert {"0.0.exp_avg", "1.0.exp_avg_sq"} < arrays.keys()
    for wrong in (
        {**arrays, "x": small},
        {**arrays, "0.a.step": small},
        {**arrays, "0.0.exp_avg": small},
        {**arrays, "1.0.exp_avg_sq": small},
        {**arrays, "1.1.exp_avg": arrays["1.0.exp_avg"]},
        {name: array for name, array in arrays.items() if name != "0.1.exp_avg_sq"},
        {name: array for name, array in arrays.items() if not name.startswith("0.1.")},
    ):
        with pytest.raises((KeyError, ValueError)):
            Optimiser(Net(), plan(), 100).restore(wrong)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0, 10])
def test_schedules(schedule: str, warmup: int) -> None:
    optimiser = Optimiser(Net(), plan(schedule=schedule, warmup_steps=warmup), 110)
    rates = [optimiser.rate(step) for step in range(140)]
    assert max(rates) == pytest.approx(0.1)
    assert rates[:warmup] == pytest.approx([0.1 * (step + 1) / 10 for step in range(warmup)])
    falling = rates[warmup:]
    if schedule == "constant":
        assert set(falling) == {0.1}
        return
    assert all(one >= other for one, other in pairwise(falling))
    middle = 0.1 * (1 + 0.05) / 2
    assert optimiser.rate((warmup + 110) // 2) == pytest.approx(middle)
    assert falling[0] == pytest.approx(0.1)
    assert rates[110] == rates[139] == pytest.approx(0.005)


def test_the_rate_of_a_step_is_the_rate_it_takes() -> None:
    """Adam's first step changes each weight by the learning rate, whatever the gradient."""
    for part in ("table", "layer"):
        net = Net()
        before = getattr(net, part).weight.detach().clone()
        net.loss([0, 1, 2, 3, 4, 5]).backward()
        Optimiser(net, plan(warmup_steps=4), 100).step(1)
        change = (getattr(net, part).weight.detach() - before).abs()
        torch.testing.assert_close(change, torch.full_like(change, 0.05), rtol=1e-3, atol=1e-4)
