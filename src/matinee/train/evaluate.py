"""How good a model is on a split of a version: every event ranked, with a report on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matinee.metrics.ranking import average_popularity, coverage
from matinee.train.evaluation import Evaluation
from matinee.train.ranks import Ranking, rank_split

if TYPE_CHECKING:
    from matinee.model.recommender import Recommender
    from matinee.schema.layout import Split
    from matinee.schema.progress import Progress
    from matinee.train.targets import Protocol
    from matinee.version import Version

__all__ = ["evaluate_split"]


def evaluate_split(
    model: Recommender,
    version: Version,
    *,
    split: Split = "eval",
    protocol: Protocol = "time",
    negatives: int = 0,
    exclude_seen: bool = True,
    k: int = 10,
    users: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank the targets of a split as the model and its prior see them; docs/evaluation.md says how.

    Args:
        model: stays as it is, while the counts of its prior go on with the events.
        version: with the model's id map.
        split: 'eval' or 'test'.
        protocol: 'time' asks about every event in order of time, 'leave-one-out' about each user's last.
        negatives: rank each target among so many random items that the user never took; 0 among all items.
        exclude_seen: leave the items of a history out of the ranking; a target in it then is a miss.
        k: length of a list.
        users: ask about so many users, drawn by the seed.
        limit: ask about at most so many events, evenly spread over the split.
        seed: of draws.
        progress: told of every piece of work.

    Raises:
        UsageError: values that do not fit each other, or the version.
        VersionDamagedError: the version cannot be read, or contradicts itself.
        ModelDamagedError: the model gives no finite scores.
    """
    ranking = Ranking(split, protocol, negatives, exclude_seen, users, limit, seed)
    phase = f"evaluate {model.name}"
    ranked = rank_split(model, version, ranking, [model.prior], k=k, phase=phase, progress=progress)
    popularity = np.bincount(version.sequences("train").items, minlength=version.items + 1)
    return Evaluation(
        model=model.name,
        engine=model.engine,
        version=version.id,
        ranking=ranking,
        prior=model.prior,
        k=k,
        catalogue=version.items,
        time_unit="row" if version.certificate.reading.time_unit == "row" else "s",
        users=ranked.users,
        targets=ranked.targets,
        times_s=ranked.times_s,
        ranks=ranked.ranks[0],
        repeats=ranked.repeats,
        warm_users=version.known_users[ranked.users],
        warm_items=version.known_items[ranked.targets],
        coverage=None if negatives else coverage(ranked.recommended, version.items),
        popularity_recommended=None if negatives else average_popularity(ranked.recommended, popularity),
        popularity_taken=float(popularity[ranked.targets].mean()) if ranked.targets.size else 0.0,
        wall_s=ranked.wall_s,
    )
