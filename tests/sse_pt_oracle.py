"""SSE-PT's forward pass, slow and plain: from the paper (arXiv 1908.05435, section 3) and SASRec's (section III).

As there, a history is padded on the left to maxlen, padding is zeroed, positions are counted from the left, and a query
looks at keys that are neither later than itself nor padding. Matinee pads on the right and counts from the end, and
shares nothing with this but the numbers. Weights come by the names of a state dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Oracle"]


@dataclass(frozen=True)
class Oracle:
    """A network's weights (out, in), and its form."""

    weights: Mapping[str, NDArray[np.float64]]
    maxlen: int
    blocks: int
    heads: int
    pre_norm: bool
    scale: bool

    def states(self, history: Sequence[int], person: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Rows of items, at most maxlen, and a person's vector, to the states (length, D) at the real positions."""
        tokens = [None] * (self.maxlen - len(history)) + [*history]
        x = np.stack([self._input(place, token, person) for place, token in enumerate(tokens)])
        real = np.array([token is not None for token in tokens])
        for number in range(self.blocks):
            x = self._block(f"blocks.{number}.", x, real)
            x[~real] = 0
        x = self._norm("final_norm", x)
        return x[real]

    def score(self, state: NDArray[np.float64], item: int, person: NDArray[np.float64] | None) -> float:
        """state . [item; person]."""
        return float(state @ np.concatenate([self.weights["items.weight"][item], self._person(person)]))

    def _input(self, place: int, item: int | None, person: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """[item * sqrt(item_dim); person * sqrt(user_dim)] + position; padding is zero."""
        if item is None:
            return np.zeros(self.weights["positions.weight"].shape[1])
        vector = self.weights["items.weight"][item]
        factor = np.sqrt(vector.size) if self.scale else 1.0
        joined = np.concatenate([factor * vector, self._person(person)])
        return joined + self.weights["positions.weight"][place]

    def _person(self, person: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if person is None:
            return np.zeros(0)
        return person * (np.sqrt(person.size) if self.scale else 1.0)

    def _block(self, name: str, x: NDArray[np.float64], real: NDArray[np.bool_]) -> NDArray[np.float64]:
        normed = self._norm(name + "attention_norm", x)
        attended = self._attention(name, normed, normed if self.pre_norm else x, real)
        x = x + self._linear(name + "project", attended) if self.pre_norm else normed + attended
        normed = self._norm(name + "forward_norm", x)
        inner = np.maximum(0, self._linear(name + "widen", normed))
        return self._linear(name + "narrow", inner) + (x if self.pre_norm else normed)

    def _attention(
        self, name: str, ask: NDArray[np.float64], source: NDArray[np.float64], real: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        size = ask.shape[1] // self.heads
        query = self._linear(name + "query", ask)
        key, value = np.split(self._linear(name + "key_value", source), 2, axis=1)
        mixed = np.zeros_like(ask)
        for head in range(self.heads):
            mine = slice(head * size, (head + 1) * size)
            for here in np.flatnonzero(real):
                seen = [there for there in range(here + 1) if real[there]]
                logits = np.array([query[here, mine] @ key[there, mine] / np.sqrt(size) for there in seen])
                shares = np.exp(logits - logits.max())
                shares /= shares.sum()
                mixed[here, mine] = sum(share * value[there, mine] for share, there in zip(shares, seen, strict=True))
        return mixed

    def _linear(self, name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = np.sqrt(x.var(axis=1, keepdims=True) + 1e-8)
        return (x - x.mean(axis=1, keepdims=True)) / spread * self.weights[name + ".weight"] + self.weights[
            name + ".bias"
        ]
