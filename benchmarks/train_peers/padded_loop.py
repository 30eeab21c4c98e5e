"""The plain loop that the PyTorch ports of SASRec train with, kept as a measure for Matinee's own and for nothing else.

    .venv/bin/python benchmarks/train_peers/padded_loop.py TASK OUT --seconds 240 --user-dim 50

Each sequence is padded on the left to the full length, one negative is drawn uniformly for each position, the loss is
binary cross-entropy, the optimiser Adam over dense gradients; network, initial values and settings follow
pmixer/SASRec.pytorch (model.py, main.py). Batches are cut in NumPy at once where the port makes them row by row in
other processes, which is to this loop's advantage. With `--user-dim` a user vector stands beside each item vector, as
in SSE-PT's own code (without its random replacements).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from exchange import Clock, Ragged, Task, arguments, left_padded
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["PaddedNetwork", "batches", "loss_of", "main"]

_ENCODED_AT_ONCE = 512


class PaddedNetwork(nn.Module):
    """SASRec as the port has it; with `user_dim` > 0, SSE-PT's concatenation of item and user."""

    def __init__(
        self, items: int, users: int, dim: int, user_dim: int, blocks: int, heads: int, maxlen: int, dropout: float
    ) -> None:
        super().__init__()
        width = dim + user_dim
        self.dim = dim
        self.item_vectors = nn.Embedding(items + 1, dim, padding_idx=0)
        self.user_vectors = nn.Embedding(users + 1, user_dim) if user_dim else None
        self.positions = nn.Embedding(maxlen, width)
        self.dropout = nn.Dropout(dropout)
        self.attention_norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-8) for _ in range(blocks))
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(width, heads, dropout, batch_first=True) for _ in range(blocks)
        )
        self.forward_norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-8) for _ in range(blocks))
        self.forwards = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width), nn.Dropout(dropout), nn.ReLU(), nn.Linear(width, width), nn.Dropout(dropout)
            )
            for _ in range(blocks)
        )
        self.last_norm = nn.LayerNorm(width, eps=1e-8)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        with torch.no_grad():
            self.item_vectors.weight[0] = 0

    def joined(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Item vectors, each with its user's beside it; users (B,), items (B, L) -> (B, L, D)."""
        vectors = self.item_vectors(items)
        if self.user_vectors is None:
            return vectors  # type: ignore[no-any-return]  # an embedding gives a tensor
        beside = self.user_vectors(users)[:, None].expand(-1, items.shape[1], -1)
        return torch.cat((vectors, beside), dim=2)

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """States at each position; (B, L, D)."""
        state = self.joined(users, items)
        state = state * state.shape[2] ** 0.5 + self.positions.weight
        there = (items != 0)[:, :, None]
        state = self.dropout(state) * there
        causal = torch.ones(items.shape[1], items.shape[1], dtype=torch.bool).triu(1)
        layers = zip(self.attention_norms, self.attentions, self.forward_norms, self.forwards, strict=True)
        for attention_norm, attention, forward_norm, feed_forward in layers:
            query = attention_norm(state)
            state = query + attention(query, state, state, attn_mask=causal, need_weights=False)[0]
            state = forward_norm(state)
            state = (state + feed_forward(state)) * there
        return self.last_norm(state)  # type: ignore[no-any-return]  # a module gives a tensor


def batches(
    train: Ragged, maxlen: int, size: int, random: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """One pass in random order: users (B,), items (B, L) and next items (B, L), padded on the left."""
    for rows in np.split(order := random.permutation(len(train.users)), range(size, order.size, size)):
        whole = left_padded(train, rows, maxlen + 1)
        items = whole[:, :-1]
        users, before, after = train.users[rows], items, np.where(items != 0, whole[:, 1:], 0)
        yield torch.from_numpy(users), torch.from_numpy(before), torch.from_numpy(after)


def loss_of(
    network: PaddedNetwork, users: torch.Tensor, before: torch.Tensor, after: torch.Tensor, negatives: torch.Tensor
) -> torch.Tensor:
    """Binary cross-entropy of each next item against one that was drawn, over the positions that are there."""
    state = network(users, before)
    there = after != 0
    liked = (state * network.joined(users, after)).sum(2)[there]
    drawn = (state * network.joined(users, negatives)).sum(2)[there]
    loss = nn.functional.binary_cross_entropy_with_logits
    return loss(liked, torch.ones_like(liked)) + loss(drawn, torch.zeros_like(drawn))


def main() -> None:
    """Train, say vectors, write run.json."""
    asked = arguments(
        (__doc__ or "").partition("\n")[0], dim=50, heads=1, blocks=2, maxlen=50, batch=128, dropout=0.2, user_dim=0
    )
    task = Task.read(asked.task)
    torch.manual_seed(asked.seed)
    random = np.random.default_rng(asked.seed)
    users = max(int(ragged.users.max(initial=0)) for ragged in (task.train, *task.moments.values()))
    network = PaddedNetwork(
        task.items, users, asked.dim, asked.user_dim, asked.blocks, asked.heads, asked.maxlen, asked.dropout
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.9, 0.98))
    vectors = partial(_vectors, network, task, asked.maxlen)
    clock = Clock(asked.out, asked.seconds, asked.warm_up, asked.snapshots, vectors)
    more = True
    clock.start()
    while more:
        for who, before, after in batches(task.train, asked.maxlen, asked.batch, random):
            negatives = torch.randint(1, task.items + 1, after.shape)
            optimiser.zero_grad()
            loss_of(network, who, before, after, negatives).backward()
            optimiser.step()
            more = clock.tick(len(who))
            if not more:
                break
    clock.finish(1.0)


@torch.no_grad()
def _vectors(network: PaddedNetwork, task: Task, maxlen: int, name: str) -> NDArray[np.float32]:
    """The item half alone: the user's half adds the same to all of a user's scores."""
    if name == "items":
        items: NDArray[np.float32] = network.item_vectors.weight.numpy().copy()
        return items
    asked = task.moments[name]
    network.eval()
    parts = []
    for rows in np.array_split(np.arange(len(asked.users)), max(1, len(asked.users) // _ENCODED_AT_ONCE)):
        items_before = torch.from_numpy(left_padded(asked, rows, maxlen))
        state = network(torch.from_numpy(asked.users[rows]), items_before)
        parts.append(state[:, -1, : network.dim])
    network.train()
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found


if __name__ == "__main__":
    main()
