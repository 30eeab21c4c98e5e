"""Answers questions: the model's scores, the live counts of its prior, and the kernel that evaluation ranks with too.

An answer is the same bit for bit as the evaluation's for the same history and the same counts, whoever else is asked
about at the same time: that is what makes a replay comparable with an evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matinee.errors import ModelDamagedError
from matinee.model.counts import LiveCounts, blend_cold
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matinee.model.histories import Histories
    from matinee.model.recommender import Recommender
    from matinee.schema.layout import Split
    from matinee.serve.people import Told
    from matinee.version import Version

__all__ = ["Engine", "Questions"]


@dataclass(frozen=True, slots=True)
class Questions:
    """n questions as of one moment of the log; dense ids.

    Attributes:
        histories: whole ones.
        exclude: (n,) bool, whether the items of the history are out of the question.
        times_s: (n,) Unix seconds, to which the prior's window reaches.
        targets: (n,) whose rank is wanted; 0 for none.
        k: the most that any of them wants.
        rows: the largest item id so far, + 1.
        told: how many events of the log have happened.
    """

    histories: Histories
    exclude: NDArray[np.bool_]
    times_s: NDArray[np.int64]
    targets: NDArray[np.int32]
    k: int
    rows: int
    told: int


class Engine:
    """One model with its counts; used by one thread at a time.

    Args:
        model: what scores.
        name: what it is called in answers.
        version: of the model's id map.
        past: the splits that have happened already.

    Attributes:
        model, name: as above.
        known_users: (users + 1,) bool, whom training has seen.
    """

    def __init__(self, model: Recommender, name: str, version: Version, past: Sequence[Split]) -> None:
        self.model, self.name = model, name
        self.known_users = model.known.users
        self._known = model.known.items
        self._counts = LiveCounts(model.prior, self._known, keep=True)
        self._told = self._last_feed = 0
        if model.prior.weight:
            self._count(version, [split for split in SPLITS if split in past])

    def answer(self, asked: Questions, told: Told) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ranks of the targets (n,), and the best items (n, k), the best first, 0 where there are no more.

        Raises:
            ModelDamagedError: the model gives no finite scores.
        """
        self._grow(asked.rows)
        self._feed(told, asked.told)
        scores = self._scores(asked.histories)
        rows = np.repeat(np.arange(len(asked.histories)), np.where(asked.exclude, asked.histories.lengths, 0))
        items = asked.histories.items[np.repeat(asked.exclude, asked.histories.lengths)]
        scores[rows, items] = -np.inf
        places = np.full(len(asked.histories), self._last_feed, np.int64)
        return self._counts.rank(scores, asked.targets, places, asked.times_s, asked.k)

    def catch_up(self, told: Told, until: int) -> None:
        """Count what was told; an engine that starts late does it before it is asked."""
        self._feed(told, until)

    def _count(self, version: Version, past: Sequence[Split]) -> None:
        window_s = self.model.prior.window_s
        last_s = max((getattr(version.certificate, split).last or 0 for split in past), default=0)
        for split in past:
            for batch in version.events(split, since=None if window_s is None else last_s - window_s):
                self._counts.feed(batch.item, batch.timestamp)
                self._last_feed = batch.item.size

    def _grow(self, rows: int) -> None:
        """Make room for items that were told of for the first time: cold ones, as training's unseen ones are."""
        more = rows - self._known.size
        if more > 0:
            start = 0.0 if self.model.prior.weight else -np.inf
            self._known = np.concatenate([self._known, np.zeros(more, np.bool_)])
            self._counts.counts = np.concatenate([self._counts.counts, np.zeros(more, np.int64)])
            self._counts.bonus = np.concatenate([self._counts.bonus, np.full(more, start, np.float32)])

    def _feed(self, told: Told, until: int) -> None:
        if until > self._told and self.model.prior.weight:
            items, times_s = told.since(self._told, until)
            self._grow(int(items.max()) + 1)
            self._counts.feed(items, times_s)
            self._last_feed = items.size
        self._told = max(self._told, until)

    def _scores(self, histories: Histories) -> NDArray[np.float32]:
        """(n, rows), the cold among them blended."""
        scores = self.model.scores(histories)
        if scores.shape[1] < self._known.size:
            fitted = np.full((scores.shape[0], self._known.size), -np.inf, np.float32)
            fitted[:, : scores.shape[1]] = scores
            scores = fitted
        scores = np.require(scores, np.float32, ["C", "W"])
        if not blend_cold(scores, self._known):
            raise ModelDamagedError(f"{self.name}: gives scores that are not finite; serve another model")
        return scores
