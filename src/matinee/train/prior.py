"""The choice of a model's recency prior on validation events: each weight and window tried, on the same scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matinee.errors import UsageError
from matinee.metrics.ranking import metrics_at
from matinee.model.recommender import Prior
from matinee.train.ranks import Ranking, rank_split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matinee.model.recommender import Recommender
    from matinee.schema.layout import Split
    from matinee.schema.progress import Progress
    from matinee.train.targets import Protocol
    from matinee.version import Version

__all__ = ["WEIGHTS", "WINDOWS_DAYS", "ChosenPrior", "Tried", "choose_prior"]

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
WINDOWS_DAYS = (1, 7, 30, None)

_DAY_S = 86_400
_K = 10


@dataclass(frozen=True, slots=True)
class Tried:
    """What one prior gave: hr@10, ndcg@10 and mrr@10 on the validation events."""

    prior: Prior
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class ChosenPrior:
    """The best prior by NDCG@10, and all that were tried, in order of weight and window."""

    prior: Prior
    tried: tuple[Tried, ...]


def choose_prior(
    model: Recommender,
    version: Version,
    *,
    split: Split = "eval",
    protocol: Protocol = "time",
    negatives: int = 0,
    exclude_seen: bool = True,
    weights: Sequence[float] = WEIGHTS,
    windows_days: Sequence[float | None] = WINDOWS_DAYS,
    users: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ChosenPrior:
    """Find the weight and window that rank the split's events best; the model is asked about each event once.

    The best is that with the highest NDCG@10; of equals, the one tried first, so the smaller weight in the order given.
    The same events, model and choices give the same prior.

    Args:
        model: not changed; give it the prior that comes back.
        version: with the model's id map.
        split: as for `evaluate_split`, and so are the next three.
        protocol: see there.
        negatives: see there.
        exclude_seen: see there.
        weights: to try; 0 is no prior.
        windows_days: to try with each weight but 0; None counts for ever. In a version whose timestamps are row
            numbers a day means nothing, and None alone is tried.
        users: as for `evaluate_split`, and so are the next two.
        limit: see there.
        seed: see there.
        progress: told of every piece of work.

    Raises:
        UsageError, VersionDamagedError, ModelDamagedError: see `evaluate_split`.
    """
    windows_s = [None if days is None else round(days * _DAY_S) for days in windows_days]
    if version.certificate.reading.time_unit == "row":
        windows_s = [None]
    priors = [Prior(weight, window_s) for weight in weights for window_s in (windows_s if weight else [None])]
    ranking = Ranking(split, protocol, negatives, exclude_seen, users, limit, seed)
    ranked = rank_split(model, version, ranking, priors, phase=f"choose the prior of {model.name}", progress=progress)
    if not ranked.users.size:
        raise UsageError(f"{version.folder}: nobody to choose a prior by, as {split} has no events; give one")
    tried = tuple(
        Tried(prior, {name: float(values.mean()) for name, values in metrics_at(ranks, _K).items()})
        for prior, ranks in zip(priors, ranked.ranks, strict=True)
    )
    best = max(tried, key=lambda one: one.metrics[f"ndcg@{_K}"])  # max keeps the first of equals
    return ChosenPrior(best.prior, tried)
