from __future__ import annotations

import numpy as np
import pytest

from matinee.model.histories import Histories
from matinee.model.popularity import Popularity, PopularitySettings
from matinee.model.recommender import Known, Prior
from matinee.version import Sequences

KNOWN = Known(np.array([False, True, True]), np.array([False, True, False, True]))
TRAIN = Sequences(np.array([0, 0, 2, 3]), np.array([1, 3, 3], np.int32))


def test_the_prior_alone_ranks() -> None:
    model = Popularity.fit(PopularitySettings(), TRAIN, KNOWN)
    assert model.prior == Prior(weight=1.0, window_s=None)
    scores = model.scores(Histories.of([1, 9], [[3, 3], []]))
    assert scores.tolist() == [[-np.inf, 0, -np.inf, 0]] * 2


def test_a_prior_that_was_chosen_stays() -> None:
    assert Popularity(PopularitySettings(), KNOWN, Prior(0.5, 60)).prior == Prior(0.5, 60)


def test_it_has_learnt_nothing() -> None:
    assert Popularity.fit(PopularitySettings(), TRAIN, KNOWN).arrays() == {}
    with pytest.raises(ValueError, match="expected none"):
        Popularity.from_arrays(PopularitySettings(), KNOWN, {"events": np.zeros(4)})
