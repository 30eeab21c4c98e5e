"""What most people have taken in the last days: popularity that forgets, the strong baseline under a time split."""

from __future__ import annotations

from dataclasses import dataclass

from matinee.model.popularity import Popularity
from matinee.model.ranges import within
from matinee.model.recommender import Known, Prior

__all__ = ["RecentPopularity", "RecentPopularitySettings"]

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class RecentPopularitySettings:
    """How long an event counts.

    Attributes:
        window_days: an event counts for so many days, fractions allowed.
    """

    window_days: float = 60.0

    def __post_init__(self) -> None:
        """Raise UsageError where the window is none."""
        within("window_days", self.window_days, least=0.001, most=100_000)


class RecentPopularity(Popularity):
    """As `Popularity`, with the counts of the last days alone ('RecentPop' of Ji et al., arXiv 2005.13829)."""

    name = "recent-popularity"

    def __init__(self, settings: RecentPopularitySettings, known: Known, prior: Prior | None = None) -> None:
        window_s = round(settings.window_days * _DAY_S)
        super().__init__(settings, known, prior or Prior(weight=1.0, window_s=window_s))
