"""What an evaluation found: a metric for all events and for each part of them, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from matinee.metrics.ranking import metrics_at
from matinee.metrics.segments import Segment, means, plain, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.model.recommender import Engine, Prior
    from matinee.train.ranks import Ranking

__all__ = ["Bucket", "Evaluation"]

_BUCKETS = 10


@dataclass(frozen=True, slots=True)
class Bucket:
    """A tenth of the events, one after the other in time.

    Attributes:
        first_s, last_s: Unix seconds of its first and last event, or rows.
        events: how many.
        by_cold_users, on_cold_items: how many of them.
        metrics: by name.
    """

    first_s: int
    last_s: int
    events: int
    by_cold_users: int
    on_cold_items: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """One model on one split, an event a row; the reports are made when they are asked for.

    Attributes:
        model: its name.
        engine: what computed its scores: 'onnx' as a server's, 'torch', or 'numpy' for a model that is counted.
        version: the version's id.
        ranking: which events were asked about, and among what the targets were ranked.
        prior: that was added to the scores.
        k: length of a list.
        catalogue: items that could be recommended.
        time_unit: 's', or 'row' where the log has no times and the number of its row stands for one.
        users, targets, times_s, ranks, repeats: (n,) see `matinee.train.ranks.Ranked`.
        warm_users, warm_items: (n,) whether training has seen the event's user, the target.
        coverage: share of the catalogue that is in at least one list; None with negatives.
        popularity_recommended: mean number of training's events of what is in the lists; None with negatives.
        popularity_taken: the same of the targets.
        wall_s: seconds that it took.
    """

    model: str
    engine: Engine
    version: str
    ranking: Ranking
    prior: Prior
    k: int
    catalogue: int
    time_unit: str
    users: NDArray[np.int32] = field(repr=False)
    targets: NDArray[np.int32] = field(repr=False)
    times_s: NDArray[np.int64] = field(repr=False)
    ranks: NDArray[np.int32] = field(repr=False)
    repeats: NDArray[np.bool_] = field(repr=False)
    warm_users: NDArray[np.bool_] = field(repr=False)
    warm_items: NDArray[np.bool_] = field(repr=False)
    coverage: float | None
    popularity_recommended: float | None
    popularity_taken: float
    wall_s: float

    @cached_property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """Each metric's value for each event, by name; (n,)."""
        return metrics_at(self.ranks, self.k)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """'hr@10', 'ndcg@10', 'mrr@10' (for k = 10) over all events; NaN without events."""
        return means(self.values, np.ones(self.ranks.size, np.bool_))

    @cached_property
    def segments(self) -> dict[str, Segment]:
        """All events, and those by warm and cold users, on warm and cold items, and each pair of the two."""
        return segments(self.values, self.users, self.warm_users, self.warm_items)

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """Ten parts of the split, equally large and one after the other; none for leave-one-out, which has no order."""
        if self.ranking.protocol != "time":
            return ()
        edges = [self.ranks.size * number // _BUCKETS for number in range(_BUCKETS + 1)]
        return tuple(self._bucket(start, stop) for start, stop in pairwise(edges) if start < stop)

    def as_json(self) -> dict[str, Any]:
        """Everything but the single events, as plain values; NaN is None."""
        found = {
            "model": self.model,
            "engine": self.engine,
            "version": self.version,
            **asdict(self.ranking),
            "prior": asdict(self.prior),
            "k": self.k,
            "catalogue": self.catalogue,
            "time_unit": self.time_unit,
            "events": self.ranks.size,
            "users_asked": np.unique(self.users).size,
            "repeats": int(self.repeats.sum()),
            "metrics": self.metrics,
            "segments": {name: asdict(segment) for name, segment in self.segments.items()},
            "buckets": [asdict(bucket) for bucket in self.buckets],
            "coverage": self.coverage,
            "popularity_recommended": self.popularity_recommended,
            "popularity_taken": self.popularity_taken,
            "wall_s": self.wall_s,
        }
        return {key: plain(value) for key, value in found.items()}

    def _bucket(self, start: int, stop: int) -> Bucket:
        chosen = np.zeros(self.ranks.size, np.bool_)
        chosen[start:stop] = True
        return Bucket(
            first_s=int(self.times_s[start]),
            last_s=int(self.times_s[stop - 1]),
            events=stop - start,
            by_cold_users=int((~self.warm_users[start:stop]).sum()),
            on_cold_items=int((~self.warm_items[start:stop]).sum()),
            metrics=means(self.values, chosen),
        )
