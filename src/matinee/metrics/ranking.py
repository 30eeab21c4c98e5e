"""Ranking metrics for one target a list: hit rate, NDCG and MRR at k; coverage and popularity of what is recommended.

With one relevant item a list all three depend on the target's rank alone, so that each is a value an event (its mean
is the metric), and any subset of events has a metric of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["average_popularity", "coverage", "gains", "hits", "metrics_at", "reciprocals"]


def hits(ranks: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """1 where the target is among the first k; its mean is HR@k. Ranks from 1, (n,) -> (n,)."""
    return (ranks <= k).astype(np.float64)


def gains(ranks: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """1 / log2(1 + rank) within the first k; its mean is NDCG@k, the ideal being rank 1, which gains 1.

    Järvelin and Kekäläinen, 'Cumulated gain-based evaluation of IR techniques', TOIS 20(4), 2002, pp. 422-446.
    """
    return np.where(ranks <= k, 1 / np.log2(1.0 + ranks), 0.0)


def reciprocals(ranks: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """1 / rank within the first k; its mean is MRR@k. Ranks from 1, (n,) -> (n,)."""
    return np.where(ranks <= k, 1 / ranks.astype(np.float64), 0.0)


def metrics_at(ranks: NDArray[np.int32], k: int) -> dict[str, NDArray[np.float64]]:
    """All three by name, 'hr@10' and so on, a value an event; (n,) -> (n,) each."""
    return {f"hr@{k}": hits(ranks, k), f"ndcg@{k}": gains(ranks, k), f"mrr@{k}": reciprocals(ranks, k)}


def coverage(recommended: NDArray[np.int64], catalogue: int) -> float:
    """The share of the catalogue that is in at least one list.

    Herlocker, Konstan, Terveen and Riedl, 'Evaluating collaborative filtering recommender systems', TOIS 22(1), 2004,
    section 4.3 ('catalog coverage').

    Args:
        recommended: in how many lists each item is, by dense id; (items + 1,).
        catalogue: items that could have been recommended.
    """
    return np.count_nonzero(recommended[1:]) / catalogue if catalogue else 0.0


def average_popularity(recommended: NDArray[np.int64], popularity: NDArray[np.int64]) -> float:
    """ARP: the mean popularity of what is in the lists; the higher above that of what is taken, the more biased.

    Yin, Cui, Li, Yao and Chen, 'Challenging the long tail recommendation', PVLDB 5(9), 2012, section 5.2.2. All lists
    weigh alike if they are equally long, as here.

    Args:
        recommended: in how many lists each item is, by dense id; (items + 1,).
        popularity: events of each item in training; (items + 1,).
    """
    total = recommended.sum()
    return float(recommended @ popularity / total) if total else 0.0
