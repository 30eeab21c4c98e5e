"""A running average of a network's weights, which often ranks better than the weights themselves."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from matinee.model.personalized import PersonalizedTransformer

__all__ = ["Average"]

_EVERY = 8  # steps between updates, at most: to touch whole tables in each step would cost a tenth of the time


class Average:
    """The exponential moving average of a network's weights (Polyak and Juditsky 1992; decay as in Kingma and Ba 2015).

    Args:
        network: whose weights are averaged.
        decay: of an epoch: after one more epoch, the old average counts so much.
        steps: an epoch, at least 1.
    """

    def __init__(self, network: PersonalizedTransformer, decay: float, steps: int) -> None:
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self._source = network
        self._every = min(_EVERY, steps)  # at least once an epoch, or a validation would see the first weights
        self._step = decay ** (self._every / steps)

    def update(self, steps: int) -> None:
        """Take in the weights after `steps` steps in all; early on, the average is that of the few steps so far."""
        if steps % self._every:
            return
        seen = steps // self._every
        share = 1 - min(self._step, seen / (seen + 10))
        with torch.no_grad():
            torch._foreach_lerp_([*self.network.parameters()], [*self._source.parameters()], share)
