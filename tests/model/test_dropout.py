from __future__ import annotations

import pytest
import torch

from matinee.model.dropout import dropout


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_a_share_is_dropped_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(1)
    x = torch.ones(400, 500)
    y = dropout(x, share, training=True)
    dropped = (y == 0).float().mean().item()
    assert dropped == pytest.approx(share, abs=0.002 + 0.005)  # 1/512 by rounding, and chance
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert y[y > 0].unique().numel() == 1


def test_each_element_is_dropped_for_itself() -> None:
    torch.manual_seed(2)
    kept = (dropout(torch.ones(100_000), 0.5, training=True) > 0).float()
    assert torch.corrcoef(torch.stack([kept[:-1], kept[1:]]))[0, 1].abs() < 0.02


@pytest.mark.parametrize(("share", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_dropped(share: float, training: bool) -> None:
    x = torch.randn(3, 4)
    state = torch.get_rng_state()
    assert dropout(x, share, training) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_follow_from_torchs_state() -> None:
    x = torch.ones(50)
    state = torch.get_rng_state()
    first, second = dropout(x, 0.5, training=True), dropout(x, 0.5, training=True)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x, 0.5, training=True), first)


@pytest.mark.parametrize("share", [1e-6, 0.99])
def test_a_tiny_or_a_huge_share_leaves_something(share: float) -> None:
    y = dropout(torch.ones(20_000), share, training=True)
    assert 0 < y.count_nonzero() < y.numel()


def test_gradients_go_where_values_went() -> None:
    x = torch.ones(30, requires_grad=True)
    y = dropout(x, 0.4, training=True)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())
