"""Causal transformer blocks over histories that are padded on the right; the paper's form and pre-norm.

B histories of L positions in D dimensions. Padding stands on the right, so a causal mask alone keeps it away from every
real position, and nothing needs to be zeroed or masked on the way.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from matinee.model.dropout import dropout

__all__ = ["Block", "Norm", "take_last"]

Norm = Literal["query", "pre"]

_EPSILON = 1e-8  # of layer normalisation, as in the paper's code


class Block(nn.Module):
    """One block: attention over the past, then the same small network at every position.

    `norm="query"` is the published SASRec and SSE-PT (Kang and McAuley 2018, section III-B; Wu et al. 2020, section
    3.2): only the query is normalised, keys and values are the plain input, and the residual adds the *normalised*
    query (and the normalised input of the position-wise network). `norm="pre"` is the usual pre-norm transformer.

    Args:
        dim: D, a multiple of `heads`.
        heads: attention heads.
        dropout: of attention weights and inside the position-wise network.
        norm: see above.
        inner: width of the position-wise network in multiples of D.
    """

    def __init__(self, dim: int, heads: int, dropout: float, norm: Norm, inner: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.norm = norm
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.project = nn.Linear(dim, dim) if norm == "pre" else nn.Identity()
        self.forward_norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.widen = nn.Linear(dim, inner * dim)
        self.narrow = nn.Linear(inner * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D), each position from itself and those before it."""
        normed = self.attention_norm(x)
        source = normed if self.norm == "pre" else x
        attended = self._attend(normed, source)
        return self._position_wise(attended + (x if self.norm == "pre" else normed))

    def last(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, D) and lengths (B,) to (B, D): what `forward` has at the last position of each, for 1/L of the work.

        The projections of keys and values are folded into the query and the result, so they are never made for each
        position: q.(W x + b) = (W'q).x + q.b, and the second term is the same for all keys.
        """
        here = take_last(x, lengths)
        query = self.attention_norm(here)
        source = self.attention_norm(x) if self.norm == "pre" else x
        dim, size = x.shape[-1], x.shape[-1] // self.heads
        asks = self.query(query).view(-1, self.heads, 1, size)  # (B, heads, 1, size)
        weights = self.key_value.weight.view(2, self.heads, size, dim)
        asks = (asks @ weights[0]).squeeze(2)  # (B, heads, D)
        logits = asks @ source.transpose(1, 2) / size**0.5  # (B, heads, L)
        beyond = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]  # (B, L)
        shares = logits.masked_fill(beyond[:, None], -torch.inf).softmax(-1)
        mixed = (shares @ source).unsqueeze(2) @ weights[1].transpose(1, 2)  # (B, heads, 1, size)
        attended = self.project(mixed.flatten(1) + self.key_value.bias[dim:])
        return self._position_wise(attended + (here if self.norm == "pre" else query))

    def _attend(self, query_from: Tensor, source: Tensor) -> Tensor:
        """Causal attention of (B, L, D) over (B, L, D)."""
        query = self._split(self.query(query_from))
        key, value = (self._split(part) for part in self.key_value(source).chunk(2, -1))
        if self.training and self.dropout and query.device.type == "cpu":
            mixed = self._mix(query, key, value)
        else:
            share = self.dropout if self.training else 0.0
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=share)
        joined: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return joined

    def _mix(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Causal attention written out, (B, heads, L, size) each, for the sake of `dropout`'s cheap draws."""
        width = query.shape[-2]
        future = torch.ones(width, width, dtype=torch.bool).triu(1)
        logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        shares = dropout(logits.masked_fill(future, -torch.inf).softmax(-1), self.dropout, self.training)
        return shares @ value

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, D) to (B, heads, L, D / heads)."""
        return x.view(*x.shape[:-1], self.heads, x.shape[-1] // self.heads).transpose(1, 2)

    def _position_wise(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        normed = self.forward_norm(x)
        inner = dropout(functional.relu(self.widen(normed)), self.dropout, self.training)
        outer = dropout(self.narrow(inner), self.dropout, self.training)
        return outer + (x if self.norm == "pre" else normed)


def take_last(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, L, D) and lengths (B,), at least 1, to (B, D): each row at its last real position."""
    return x[torch.arange(x.shape[0], device=x.device), lengths - 1]
