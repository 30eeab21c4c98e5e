from __future__ import annotations

import numpy as np
import pytest
import torch

from matinee.model.personalized import PersonalizedTransformer
from matinee.model.recommender import Known
from matinee.model.sse_pt import SSEPTSettings
from matinee.train.average import Average


def network() -> PersonalizedTransformer:
    known = Known(np.arange(3) > 0, np.arange(4) > 0)
    return PersonalizedTransformer(SSEPTSettings(maxlen=2, item_dim=2, user_dim=2, blocks=1), known)


def fill(of: PersonalizedTransformer, value: float) -> None:
    with torch.no_grad():
        for parameter in of.parameters():
            parameter.fill_(value)


def one(average: Average) -> float:
    """What all weights of the average are, where all weights of the network always were the same."""
    (value,) = torch.cat([parameter.flatten() for parameter in average.network.parameters()]).unique().tolist()
    return float(value)


def test_after_an_epoch_the_old_average_counts_by_the_decay() -> None:
    source = network()
    fill(source, 3)
    average = Average(source, 0.5, 16)
    for step in range(1, 241):  # beyond the beginning, where it forgets faster
        average.update(step)
    fill(source, 0)
    for step in range(241, 257):
        average.update(step)
    assert one(average) == pytest.approx(1.5)


def test_early_on_it_is_of_the_steps_so_far() -> None:
    """The n-th update keeps n / (n + 10) of what was: the first weights are soon forgotten, whatever the decay."""
    source = network()
    fill(source, 100)
    average, expected = Average(source, 0.999999, 8), 100.0
    for seen in range(1, 11):
        fill(source, seen)
        average.update(8 * seen)
        expected += (seen - expected) * 10 / (seen + 10)
        assert one(average) == pytest.approx(expected)
    assert expected < 10


@pytest.mark.parametrize("steps", [1, 3, 8, 50])
def test_a_short_epoch_is_in_it_too(steps: int) -> None:
    """Else the first validation would see weights that nothing was learnt by."""
    source = network()
    average = Average(source, 0.9, steps)
    before = average.network.positions.weight.clone()
    fill(source, 1)
    for step in range(1, steps + 1):
        average.update(step)
    assert not torch.equal(average.network.positions.weight, before)


def test_the_network_goes_its_own_way() -> None:
    source = network()
    average = Average(source, 0.9, 10)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert all(parameter.requires_grad for parameter in source.parameters())
    before = [parameter.detach().clone() for parameter in source.parameters()]
    with torch.no_grad():
        average.network.positions.weight.fill_(7)
    assert all(torch.equal(one, other) for one, other in zip(source.parameters(), before, strict=True))
