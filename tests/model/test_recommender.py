from __future__ import annotations

import numpy as np
import pytest

from matinee.model.popularity import Popularity, PopularitySettings
from matinee.model.recommender import Known, Prior, exactly


def test_without_a_prior_nothing_is_added() -> None:
    assert Prior() == Prior(weight=0.0, window_s=None)


def test_what_is_unknown_is_never_recommended() -> None:
    model = Popularity(PopularitySettings(), Known(np.zeros(2, np.bool_), np.array([False, True, False])))
    scores = np.ones((2, 3), np.float32)
    assert model.mask_unknown(scores) is scores
    assert scores.tolist() == [[-np.inf, 1, -np.inf]] * 2


def test_arrays_are_taken_by_name_and_none_is_left() -> None:
    one, two = np.zeros(1), np.ones(2)
    assert exactly({"two": two, "one": one}, "one", "two") == [one, two]
    assert exactly({}) == []
    with pytest.raises(ValueError, match=r"^arrays one, two, expected one$"):
        exactly({"one": one, "two": two}, "one")
    with pytest.raises(ValueError, match=r"^arrays none, expected one, two$"):
        exactly({}, "one", "two")
