"""What training minimises: the target against one negative, against shared negatives, against the whole catalogue.

M positions that have a target, D dimensions of an item vector, K negatives. Every loss returns a sum over positions, so
that a batch can be divided among processes.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Loss", "bce", "gbce", "sampled_softmax", "softmax"]

Loss = Literal["bce", "gbce", "sampled-softmax", "softmax"]


def bce(states: Tensor, targets: Tensor, negatives: Tensor, bias: Tensor | None = None) -> Tensor:
    """Binary cross-entropy with one negative a position (Kang and McAuley 2018, equation 6).

    Args:
        states: (M, D).
        targets: (M, D) item vectors.
        negatives: (M, D) item vectors.
        bias: (M,) added to both scores: what the user half adds, the same for every item.
    """
    positive, negative = (states * targets).sum(-1), (states * negatives).sum(-1)
    if bias is not None:
        positive, negative = positive + bias, negative + bias
    return functional.softplus(-positive).sum() + functional.softplus(negative).sum()


def gbce(states: Tensor, targets: Tensor, negatives: Tensor, same: Tensor, *, items: int, t: float) -> Tensor:
    """GBCE (Petrov and Macdonald, RecSys 2023, equations 8 and 13): BCE whose positive is raised to the power beta.

    Args:
        states: (M, D).
        targets: (M, D) item vectors.
        negatives: (K, D) item vectors shared by all positions.
        same: (M, K) where a negative is the position's own target; left out.
        items: in the catalogue.
        t: 0 is plain BCE, 1 is calibrated as if all items were negatives.
    """
    share = negatives.shape[0] / max(1, items - 1)
    beta = share * (t * (1 - 1 / share) + 1 / share)
    positive = (states * targets).sum(-1)
    negative = _scores(states, negatives).masked_fill(same, -torch.inf)
    return beta * functional.softplus(-positive).sum() + functional.softplus(negative).sum()


def sampled_softmax(states: Tensor, targets: Tensor, negatives: Tensor, same: Tensor, *, items: int) -> Tensor:
    """Cross-entropy of the target among itself and K shared uniform negatives that stand for all other items.

    Each item is expected K / items times among the negatives, so log(items / K) is added to their scores (Bengio and
    Senecal 2008): the sum over negatives then estimates the sum over all others of the catalogue without bias.

    Args:
        states: (M, D).
        targets: (M, D) item vectors.
        negatives: (K, D) item vectors.
        same: (M, K) where a negative is the position's own target; left out.
        items: in the catalogue.
    """
    positive = (states * targets).sum(-1)
    shift = math.log(items / negatives.shape[0])
    negative = (_scores(states, negatives) + shift).masked_fill(same, -torch.inf)
    return (torch.logaddexp(negative.logsumexp(-1), positive) - positive).sum()


def softmax(states: Tensor, items: Tensor, targets: Tensor, unknown: Tensor) -> Tensor:
    """Cross-entropy of the target over the whole catalogue.

    Args:
        states: (M, D).
        items: (rows, D) all item vectors.
        targets: (M,) rows of the targets.
        unknown: (rows,) rows that are no item of the catalogue.
    """
    scores = _scores(states, items).masked_fill(unknown, -torch.inf)
    return functional.cross_entropy(scores, targets, reduction="sum")


def _scores(states: Tensor, items: Tensor) -> Tensor:
    """(M, D) and (N, D) to (M, N). Under autocast the products are bfloat16; sums of thousands of them must not be."""
    return (states @ items.T).to(items.dtype)
