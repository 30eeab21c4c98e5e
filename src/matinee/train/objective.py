"""The loss of a batch, as one module, so that several processes can wrap it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from matinee.model.losses import bce, gbce, sampled_softmax, softmax

if TYPE_CHECKING:
    from matinee.model.personalized import NetworkSettings, PersonalizedTransformer

__all__ = ["Objective"]


class Objective(nn.Module):
    """Loss of a network on a batch.

    Args:
        network: with `encode` and tables of items and users.
        settings: of the model: which loss.
    """

    def __init__(self, network: PersonalizedTransformer, settings: NetworkSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self._items = int(network.known_items.sum())

    def forward(self, users: Tensor, items: Tensor, lengths: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
        """Tensors as in `matinee.train.batches.Batch` to the loss, summed over real positions."""
        network = self.network
        real = torch.arange(items.shape[1], device=items.device) < lengths[:, None]
        states = network.encode(items, lengths, users)[real]  # (M, D)
        half = states[:, : self.settings.item_dim]
        target = targets[real]
        match self.settings.loss:
            case "softmax":
                return softmax(half, network.item_vectors(), target, ~network.known_items)
            case "bce":
                positive, negative = network.items(torch.stack([target, negatives[real]]))
                return bce(half, positive, negative, self._user_half(states, users, lengths))
        vectors = network.items(torch.cat([target, negatives]))
        positive, negative = vectors[: target.numel()], vectors[target.numel() :]
        same = target[:, None] == negatives
        if self.settings.loss == "gbce":
            return gbce(half, positive, negative, same, items=self._items, t=self.settings.gbce_t)
        return sampled_softmax(half, positive, negative, same, items=self._items)

    def _user_half(self, states: Tensor, users: Tensor, lengths: Tensor) -> Tensor | None:
        """What the user half adds to every score of a position; (M,)."""
        if self.network.users is None:
            return None
        vectors = self.network.users(users)
        if self.settings.scale:
            vectors = vectors * self.settings.user_dim**0.5
        added: Tensor = (states[:, self.settings.item_dim :] * vectors.repeat_interleave(lengths, 0)).sum(-1)
        return added
