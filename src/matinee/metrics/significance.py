"""What may be concluded from a metric over events: confidence intervals, and whether two models really differ.

The events of one user depend on each other, so users are drawn, not events: whole clusters, each with all its events
(Field and Welsh, 'Bootstrapping clustered data', JRSS B 69(3), 2007, section 2: the cluster bootstrap).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Comparison", "compare", "interval"]

_REPLICATES = 1000
_FLIPS = 9999
_AT_ONCE = 1 << 22  # random numbers held at once


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of two models on the same events.

    Attributes:
        difference: of the means, the model's minus the other's.
        low, high: its 95% confidence interval.
        p: how likely so large a difference would be, either way, if the models were equally good.
        events, users: that it rests on.
    """

    difference: float
    low: float
    high: float
    p: float
    events: int
    users: int


def interval(
    values: NDArray[np.float64], users: NDArray[np.int32], *, seed: int = 0, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The confidence interval of each mean over events: percentiles of 1,000 resamples of the users.

    Efron and Tibshirani, 'An introduction to the bootstrap', 1993, section 13.3 (percentile intervals).

    Args:
        values: (n, m), one column a metric.
        users: (n,) who each event is of.
        seed: of the resampling.
        level: how often the interval should hold the truth.

    Returns:
        The lower and the upper ends, (m,) each; NaN where there are no events.
    """
    if not users.size:
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing
    sums, counts = _by_user(values, users)
    rng = np.random.default_rng(seed)
    means = np.empty((_REPLICATES, values.shape[1]))
    for rows in _pieces(_REPLICATES, counts.size):
        for row in rows:
            drawn = np.bincount(rng.integers(0, counts.size, counts.size), minlength=counts.size)
            means[row] = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def compare(
    values: NDArray[np.float64], others: NDArray[np.float64], users: NDArray[np.int32], *, seed: int = 0
) -> Comparison:
    """Whether one metric of two models on the same events differs by more than chance.

    The interval is that of `interval`, of the difference. p comes from Fisher's randomisation test, which Smucker,
    Allan and Carterette recommend ('A comparison of statistical significance tests for information retrieval
    evaluation', CIKM 2007): if the models are equally good, either could have had the other's values, so the signs of
    each user's sum of differences are flipped at random, 9,999 times. The observed one counts as one of them, so p is
    never 0 (Phipson and Smyth, 'Permutation p-values should never be zero', 2010).

    Args:
        values: (n,) the metric of each event for the model.
        others: (n,) the same for the one that it is compared with.
        users: (n,) who each event is of.
        seed: of the resampling and the flips.
    """
    differences = values - others
    low, high = interval(differences[:, None], users, seed=seed)
    sums, _ = _by_user(differences[:, None], users)
    moved = sums[np.abs(sums[:, 0]) > 0, 0]
    return Comparison(
        difference=float(differences.mean()) if users.size else float("nan"),
        low=float(low[0]),
        high=float(high[0]),
        p=(1 + _as_extreme(moved, seed)) / (1 + _FLIPS),
        events=users.size,
        users=sums.shape[0],
    )


def _by_user(values: NDArray[np.float64], users: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums (users, m) and number of events (users,), of those who have any."""
    who, place, counts = np.unique(users, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(place, column, who.size).astype(np.float64) for column in values.T], axis=1)
    return sums, counts.astype(np.int64)


def _as_extreme(moved: NDArray[np.float64], seed: int) -> int:
    """How many flips of signs give a sum as far from 0 as the one that is there."""
    rng = np.random.default_rng(seed)
    reached = np.abs(moved.sum()) * (1 - 1e-12)  # sums of the same numbers differ by rounding
    found = 0
    for rows in _pieces(_FLIPS, moved.size):
        signs = rng.integers(0, 2, (len(rows), moved.size), np.int8) * 2 - 1
        found += int(np.count_nonzero(np.abs(signs @ moved) >= reached))
    return found


def _pieces(replicates: int, size: int) -> Iterator[range]:
    """The replicates in pieces that fit into memory."""
    step = max(1, _AT_ONCE // max(1, size))
    for start in range(0, replicates, step):
        yield range(start, min(start + step, replicates))
