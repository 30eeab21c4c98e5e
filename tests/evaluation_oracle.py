"""Evaluation written a second time, slowly and plainly, from docs/evaluation.md; and a model that needs no training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow.parquet as pq

from matinee.model.recommender import Known, Prior, Recommender
from matinee.schema.layout import SPLITS, events_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from matinee.model.histories import Histories
    from matinee.schema.layout import Split
    from matinee.train.ranks import Ranking
    from matinee.version import Version

__all__ = ["Answer", "Checkered", "answers", "known_of"]


class Checkered(Recommender):
    """Scores that follow from user, history and item by arithmetic: few distinct values, so many ties, all exact."""

    name = "checkered"

    def __init__(
        self, settings: Any, known: Known, prior: Prior | None = None, history_limit: int | None = None
    ) -> None:
        super().__init__(settings, known, prior)
        self.history_limit = history_limit

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        rows = [
            self.row(int(user), asked.items[asked.offsets[at] : asked.offsets[at + 1]].tolist())
            for at, user in enumerate(asked.users)
        ]
        return self.mask_unknown(np.array(rows, np.float32).reshape(len(asked), self.known.items.size))

    def row(self, user: int, history: Sequence[int]) -> list[float]:
        told = 7 * user + 5 * len(history) + 3 * sum((at + 1) * item for at, item in enumerate(history))
        return [((told + 11 * item * item) % 13) / 4 for item in range(self.known.items.size)]

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    @classmethod
    def from_arrays(cls, settings: Any, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        assert not arrays
        return cls(settings, known)


@dataclass(frozen=True)
class Answer:
    """One event and what the model made of it."""

    user: int
    target: int
    time: int
    rank: int
    repeat: bool
    best: list[int]


@dataclass(frozen=True)
class _Event:
    user: int
    item: int
    time: int


def known_of(version: Version) -> Known:
    train = _events(version, "train")
    users, items = {event.user for event in train}, {event.item for event in train}
    return Known(
        np.array([user in users for user in range(version.users + 1)]),
        np.array([item in items for item in range(version.items + 1)]),
    )


def answers(
    model: Checkered, version: Version, ranking: Ranking, prior: Prior, k: int, negatives: Mapping[int, Sequence[int]]
) -> list[Answer]:
    """Each question in order, ranked among all items, or among `negatives` by user where the ranking wants some."""
    until = SPLITS[: SPLITS.index(ranking.split) + 1]
    log = sorted(
        ((event, split) for split in until for event in _events(version, split)), key=lambda pair: pair[0].time
    )  # stable: an earlier split comes first in a tie
    of_user = {
        user: [
            (at, event, split)
            for split in until
            for at, (event, its) in enumerate(log)
            if its == split and event.user == user
        ]
        for user in range(1, version.users + 1)
    }
    train = _events(version, "train")
    asked = []
    if ranking.protocol == "time":
        for place, (event, split) in enumerate(log):
            if split == ranking.split:
                mine = of_user[event.user]
                before = [other.item for at, other, _ in mine[: [at for at, _, _ in mine].index(place)]]
                asked.append((event, before, [other for other, _ in log[:place]], event.time))
    else:
        for mine in of_user.values():
            if mine and mine[-1][2] == ranking.split:
                now = max((event.time for event in train), default=0)
                asked.append((mine[-1][1], [other.item for _, other, _ in mine[:-1]], train, now))
    wanted = min(ranking.limit or len(asked), len(asked))
    # Evenly: of so many questions, the n-th is the last one that n shares of the way reach.
    places = [math.ceil(number * len(asked) / wanted) - 1 for number in range(1, wanted + 1)] if wanted else []
    return [_answer(model, version, ranking, prior, k, negatives, *asked[place]) for place in places]


def _answer(
    model: Checkered,
    version: Version,
    ranking: Ranking,
    prior: Prior,
    k: int,
    negatives: Mapping[int, Sequence[int]],
    event: _Event,
    before: list[int],
    happened: list[_Event],
    now: int,
) -> Answer:
    limit = model.history_limit
    row = model.row(event.user, before if limit is None else before[len(before) - min(limit, len(before)) :])
    warm = [item for item in range(1, version.items + 1) if model.known.items[item]]
    mean = np.float32(sum(row[item] for item in warm) / max(1, len(warm)))
    counts = [0] * (version.items + 1)
    for other in happened:
        if prior.window_s is None or now - other.time < prior.window_s:
            counts[other.item] += 1
    scores: dict[int, float] = {}
    for item in range(1, version.items + 1):
        base = np.float32(row[item]) if item in warm else mean
        scores[item] = float(base + np.float32(prior.weight * math.log1p(counts[item])))
        if not prior.weight and item not in warm:
            scores[item] = -math.inf
        if ranking.exclude_seen and not ranking.negatives and item in before:
            scores[item] = -math.inf
    others = negatives[event.user] if ranking.negatives else [item for item in scores if item != event.item]
    rank = 1 + sum(scores[item] >= scores[event.item] for item in others)
    reachable = [item for item in scores if scores[item] > -math.inf]
    best = sorted(reachable, key=lambda item: (-scores[item], item))[:k]
    return Answer(event.user, event.item, now, rank, event.item in before, best)


def _events(version: Version, split: Split) -> list[_Event]:
    columns = pq.read_table(version.folder / events_path(split)).to_pydict()
    return [_Event(*row) for row in zip(columns["user"], columns["item"], columns["timestamp"], strict=True)]
