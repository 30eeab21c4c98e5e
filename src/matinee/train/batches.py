"""Training batches: sequences of like length together, replacements and negatives drawn; a function of seed and place.

Nothing here has a state: what batch `step` of epoch `epoch` holds follows from the seed alone, so a training that was
stopped goes on with the batches it would have seen, and several processes cut their shares from the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.model.personalized import NetworkSettings
    from matinee.model.recommender import Known
    from matinee.version import Sequences

__all__ = ["Batch", "Batches", "Windows"]

_CHUNK_BATCHES = 64  # within so many shuffled batches, users are sorted by length


class Windows(NamedTuple):
    """B stretches of histories: of each user the last maxlen + 1 events among the first `ends`; (B,) each."""

    users: NDArray[np.int64]
    ends: NDArray[np.int64]


class Batch(NamedTuple):
    """B sequences, right-padded with 0 to the longest of them, L; the target of a position is the event after it.

    Attributes:
        users: (B,) rows of user vectors.
        items: (B, L) rows of item vectors.
        lengths: (B,) real positions, at least 1.
        targets: (B, L) dense item ids; 0 where there is no position.
        negatives: (B, L) for the loss 'bce', (K,) for losses with shared negatives, (0,) for 'softmax'.
        positions: real positions of the whole batch, also where this is one process's share.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    lengths: NDArray[np.int64]
    targets: NDArray[np.int64]
    negatives: NDArray[np.int64]
    positions: int


class Batches:
    """The batches of a training.

    Args:
        sequences: of the split `train`.
        known: which users and items are drawn as replacements and negatives: those of `sequences`.
        settings: of the model: maxlen, loss, negatives and what SSE replaces.
        batch_size: sequences a batch, of all processes together.
        seed: all draws follow from it.
        rank: which share of each batch is ours: rows rank, rank + world, ...
        world: processes that share a batch.
    """

    def __init__(
        self,
        sequences: Sequences,
        known: Known,
        settings: NetworkSettings,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.sequences, self.settings = sequences, settings
        self._users, self._items = np.flatnonzero(known.users), np.flatnonzero(known.items)
        self.batch_size, self.seed = batch_size, seed
        self._share = slice(rank, None, world)
        events = np.diff(sequences.offsets)
        users = np.flatnonzero(events > 1)  # one event has no event before it: nothing to learn from
        if settings.random_window:
            # As many windows as the events fill, so that an epoch sees about as much of a long history as there is.
            users = np.repeat(users, -(-(events[users] - 1) // settings.maxlen))
        self._all = Windows(users, events[users])

    @property
    def per_epoch(self) -> int:
        """Batches an epoch."""
        return -(-self._all.users.size // self.batch_size)

    def epoch(self, epoch: int) -> list[Windows]:
        """The windows of each batch; every user with at least two events has one, and more where they are random."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(self._all.users.size)
        users, ends = self._all.users[order], self._moments(self._all.ends[order], rng)
        lengths = self._lengths(ends)
        batches: list[Windows] = []
        for start in range(0, order.size, _CHUNK_BATCHES * self.batch_size):
            chunk = slice(start, start + _CHUNK_BATCHES * self.batch_size)
            by_length = start + np.argsort(lengths[chunk], kind="stable")
            cut = [by_length[at : at + self.batch_size] for at in range(0, by_length.size, self.batch_size)]
            batches += [Windows(users[cut[place]], ends[cut[place]]) for place in rng.permutation(len(cut))]
        return batches

    def build(self, windows: Windows, epoch: int, step: int) -> Batch:
        """The batch of these windows, which is the one at `step` of `epoch`; our share of it."""
        rng = np.random.default_rng([self.seed, epoch, step])
        lengths = self._lengths(windows.ends)
        begin = self.sequences.offsets[windows.users] + windows.ends - 1 - lengths
        place = np.arange(lengths.max())
        real = place < lengths[:, None]
        at = (begin[:, None] + place)[real]
        items, targets = np.zeros((2, *real.shape), np.int64)
        items[real] = self._replaced_items(self.sequences.take(at), rng)
        targets[real] = self._replaced_targets(self.sequences.take(at + 1), rng)
        rows = self._replaced_users(windows.users, rng)
        negatives = self._negatives(targets, rng)
        mine = self._share
        own = negatives[mine] if negatives.ndim > 1 else negatives
        return Batch(rows[mine], items[mine], lengths[mine], targets[mine], own, int(lengths.sum()))

    def _lengths(self, ends: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.minimum(ends - 1, self.settings.maxlen)

    def _moments(self, ends: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The ends of the histories, or those of random moments in them: then short histories are learnt from too."""
        if not self.settings.random_window:
            return ends
        moments = rng.integers(2, ends, endpoint=True)
        return np.where(rng.random(ends.size) < self.settings.random_window, moments, ends)

    def _replaced_users(self, users: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        if self.settings.user_keep == 1:
            return users
        return self._replaced(users, self.settings.user_keep, self._users, self.settings.unk_share, rng)

    def _replaced_items(self, items: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int64]:
        return self._replaced(items, self.settings.item_keep, self._items, self.settings.unk_share, rng)

    def _replaced_targets(self, targets: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int64]:
        return self._replaced(targets, self.settings.target_keep, self._items, 0.0, rng)

    @staticmethod
    def _replaced(
        ids: NDArray[Any], keep: float, known: NDArray[np.int64], unk_share: float, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """SSE: each id stays with probability `keep`, else it is 0 with `unk_share`, else any known one, uniformly."""
        if keep == 1:
            return ids.astype(np.int64)
        drawn = rng.random(ids.size)
        other = known[rng.integers(0, known.size, ids.size)]
        other[drawn >= 1 - (1 - keep) * unk_share] = 0
        kept: NDArray[np.int64] = np.where(drawn < keep, ids, other)
        return kept

    def _negatives(self, targets: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Uniform over the known items; for 'bce' none is its own position's target."""
        match self.settings.loss:
            case "softmax":
                return np.zeros(0, np.int64)
            case "bce":
                others = self._items.size - 1
                drawn = rng.integers(0, max(others, 1), targets.shape)
                place = drawn + (drawn >= np.searchsorted(self._items, targets))
                return self._items[np.minimum(place, others)]
            case _:
                return self._items[rng.integers(0, self._items.size, self.settings.negatives)]
