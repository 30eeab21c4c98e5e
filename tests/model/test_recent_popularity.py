from __future__ import annotations

import numpy as np
import pytest

from matinee.errors import UsageError
from matinee.model.recent_popularity import RecentPopularity, RecentPopularitySettings
from matinee.model.recommender import Known, Prior

KNOWN = Known(np.array([False, True]), np.array([False, True]))


@pytest.mark.parametrize(("window_days", "window_s"), [(1, 86_400), (0.5, 43_200), (30.0, 2_592_000), (0.001, 86)])
def test_the_window_is_the_priors(window_days: float, window_s: int) -> None:
    model = RecentPopularity(RecentPopularitySettings(window_days), KNOWN)
    assert model.prior == Prior(weight=1.0, window_s=window_s)


def test_a_prior_that_was_chosen_stays() -> None:
    assert RecentPopularity(RecentPopularitySettings(), KNOWN, Prior(2.0, 60)).prior == Prior(2.0, 60)


@pytest.mark.parametrize("window_days", [0.0, -1.0, float("nan"), float("inf")])
def test_a_window_is_some_time(window_days: float) -> None:
    with pytest.raises(UsageError, match=r"window_days = .*: expected at least 0.001 and at most"):
        RecentPopularitySettings(window_days)
