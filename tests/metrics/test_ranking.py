"""Metrics against ranx, which is an implementation of others."""

from __future__ import annotations

import numpy as np
import pytest
from ranx import Qrels, Run, evaluate

from matinee.metrics.ranking import average_popularity, coverage, metrics_at

NAMES = {"hr": "hit_rate", "ndcg": "ndcg", "mrr": "mrr"}


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaTypeSafetyWarning")  # ranx compiles as it is called
def test_metrics_are_those_of_ranx() -> None:
    ranks = np.random.default_rng(0).integers(1, 31, 200)
    # A list of 30 documents a query, the relevant one at the rank.
    qrels = Qrels({f"q{at:03}": {f"d{rank}": 1} for at, rank in enumerate(ranks)})
    run = Run({f"q{at:03}": {f"d{place}": 1 / place for place in range(1, 31)} for at in range(ranks.size)})
    names = {f"{ours}@{k}": f"{theirs}@{k}" for k in (1, 5, 10) for ours, theirs in NAMES.items()}
    theirs = evaluate(qrels, run, [*names.values()], return_mean=False)
    for k in (1, 5, 10):
        for name, values in metrics_at(ranks.astype(np.int32), k).items():
            assert values == pytest.approx(theirs[names.pop(name)])
    assert not names


def test_nothing_beyond_k_counts() -> None:
    for values in metrics_at(np.array([11, 500, 2**31 - 1], np.int32), 10).values():
        assert not values.any()


def test_coverage_is_the_share_that_is_in_some_list() -> None:
    assert coverage(np.array([0, 4, 0, 1, 0]), 4) == 0.5
    assert coverage(np.zeros(1, np.int64), 0) == 0.0


def test_average_popularity_is_a_mean_over_places_in_lists() -> None:
    popularity = np.array([0, 100, 10, 0])
    assert average_popularity(np.array([0, 1, 3, 0]), popularity) == (100 + 3 * 10) / 4
    assert average_popularity(np.zeros(4, np.int64), popularity) == 0.0
