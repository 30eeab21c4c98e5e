"""The plain loop is a fair measure only if it does what the ports do: shift, hide the future, learn."""

from __future__ import annotations

import numpy as np
import torch
from exchange import Ragged
from padded_loop import PaddedNetwork, batches, loss_of

_TRAIN = Ragged(np.array([1, 2, 5]), np.array([0, 3, 5, 10]), np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 1]))


def _network(user_dim: int = 0, dropout: float = 0.0) -> PaddedNetwork:
    torch.manual_seed(0)
    return PaddedNetwork(10, 6, dim=8, user_dim=user_dim, blocks=2, heads=1, maxlen=4, dropout=dropout)


def test_a_pass_has_every_user_once_and_each_item_before_the_next() -> None:
    seen = {}
    for users, before, after in batches(_TRAIN, 4, 2, np.random.default_rng(0)):
        for user, inputs, targets in zip(users.tolist(), before.tolist(), after.tolist(), strict=True):
            seen[user] = (inputs, targets)
    assert seen == {
        1: ([0, 0, 1, 2], [0, 0, 2, 3]),
        2: ([0, 0, 0, 4], [0, 0, 0, 5]),
        5: ([6, 7, 8, 9], [7, 8, 9, 1]),
    }


def test_a_state_knows_nothing_of_what_comes_later() -> None:
    network = _network(user_dim=4).eval()
    users = torch.tensor([1])
    with torch.no_grad():
        one = network(users, torch.tensor([[0, 1, 2, 3]]))
        other = network(users, torch.tensor([[0, 1, 2, 9]]))
    assert torch.equal(one[:, :3], other[:, :3])
    assert not torch.equal(one[:, 3], other[:, 3])


def test_the_user_stands_beside_the_item() -> None:
    network = _network(user_dim=4).eval()
    joined = network.joined(torch.tensor([2, 3]), torch.tensor([[1, 2], [1, 0]]))
    assert joined.shape == (2, 2, 12)
    assert torch.equal(joined[0, :, 8:], network.user_vectors.weight[[2, 2]])
    assert torch.equal(joined[0, 0, :8], joined[1, 0, :8])
    assert not joined[1, 1, :8].any()


def test_it_learns_a_circle() -> None:
    circle = np.array([[(start + step) % 10 + 1 for step in range(5)] for start in range(10)])
    train = Ragged(np.arange(1, 11) % 6 + 1, np.arange(0, 51, 5), circle.ravel())
    network, random = _network(), np.random.default_rng(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2, betas=(0.9, 0.98))
    for _ in range(100):
        for users, before, after in batches(train, 4, 10, random):
            optimiser.zero_grad()
            loss_of(network, users, before, after, torch.randint(1, 11, after.shape)).backward()
            optimiser.step()
    with torch.no_grad():
        last = network.eval()(torch.tensor([1, 1]), torch.tensor([[1, 2, 3, 4], [8, 9, 10, 1]]))[:, -1]
        best = (last @ network.item_vectors.weight.T)[:, 1:].argmax(1) + 1
    assert best.tolist() == [5, 2]
