"""The rank of each target of a split, under one prior or several at once: the work behind evaluation and priors."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, get_args

import numpy as np

from matinee.errors import ModelDamagedError, UsageError
from matinee.model.counts import LiveCounts, blend_cold
from matinee.model.ranges import among
from matinee.schema.layout import SPLITS
from matinee.schema.progress import Progress, Silent
from matinee.train.draws import Negatives
from matinee.train.past import Past
from matinee.train.targets import Protocol, last_targets, sample_users, targets_in_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from matinee.model.recommender import Prior, Recommender
    from matinee.schema.layout import Split
    from matinee.train.targets import Asked, Scene
    from matinee.version import Version

__all__ = ["Ranked", "Ranking", "rank_split"]

_Scalar = TypeVar("_Scalar", bound=np.generic)

_SCORES_AT_ONCE = 1 << 23  # 32 MB, so that they are still in a processor's cache when they are ranked
_ASKED_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Ranking:
    """How a split's targets are ranked.

    Attributes:
        split: whose events are the targets.
        protocol: which of them, and in which order.
        negatives: how many random items each is ranked among; 0 ranks among the whole catalogue.
        exclude_seen: whether the items of a history are out of the question; never so with negatives.
        users: how many are asked about, drawn by the seed; None for all.
        limit: at most so many events, evenly spread over all; the first ones alone would be too much like training.
        seed: of draws.
    """

    split: Split = "eval"
    protocol: Protocol = "time"
    negatives: int = 0
    exclude_seen: bool = True
    users: int | None = None
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError where the parts do not fit."""
        among("split", self.split, SPLITS)
        among("protocol", self.protocol, get_args(Protocol))
        if self.negatives and self.protocol == "time":
            raise UsageError("negatives belong to the protocol leave-one-out; the protocol time ranks the catalogue")
        for name, least in (("negatives", 0), ("users", 1), ("limit", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}, expected {least} or more")


@dataclass(frozen=True, slots=True)
class Ranked:
    """What came of it, an event a row.

    Attributes:
        users, targets, times_s: (n,) the events in the order in which they were asked about.
        repeats: (n,) whether the target was in the history already.
        ranks: (priors, n) of the target, 1 the best.
        recommended: (items + 1,) in how many lists of k items each item is, under the first prior; 0 with negatives.
        wall_s: seconds that it took.
    """

    users: NDArray[np.int32]
    targets: NDArray[np.int32]
    times_s: NDArray[np.int64]
    repeats: NDArray[np.bool_]
    ranks: NDArray[np.int32]
    recommended: NDArray[np.int64]
    wall_s: float


def rank_split(
    model: Recommender,
    version: Version,
    ranking: Ranking,
    priors: Sequence[Prior],
    *,
    k: int = 0,
    phase: str = "evaluate",
    progress: Progress | None = None,
) -> Ranked:
    """Ask the model about each event once, and rank the answer under each prior.

    Args:
        model: is not changed; its own prior does not count here.
        version: with the model's id map.
        ranking: which events, and among what.
        priors: one or more.
        k: how many items a list of recommendations has; 0 makes none.
        phase: what the work is called in `progress`.
        progress: told of every piece of work.

    Raises:
        UsageError: the protocol does not fit the version.
        VersionDamagedError: the version cannot be read, or contradicts itself.
        ModelDamagedError: the model gives no finite scores.
    """
    return _Pass(model, version, ranking, priors, k).run(phase, progress or Silent())


class _Pass:
    """One walk over a split, with all that it carries along."""

    def __init__(self, model: Recommender, version: Version, ranking: Ranking, priors: Sequence[Prior], k: int) -> None:
        self._model, self._version, self._ranking = model, version, ranking
        self._k = 0 if ranking.negatives else k
        self._rows = version.items + 1
        self._known = _fitted(model.known.items, self._rows)
        self._past = Past(version, ranking.split)
        self._wanted = sample_users(self._past.own, ranking.users, ranking.seed)
        self._counts = [LiveCounts(prior, self._known) for prior in priors]
        self._windows = [prior.window_s for prior in priors if prior.weight]
        self._negatives = Negatives(version, ranking.negatives, ranking.seed) if ranking.negatives else None
        self._recommended = np.zeros(self._rows, np.int64)

    def run(self, phase: str, progress: Progress) -> Ranked:
        """All of it."""
        begun_s = time.perf_counter()
        asked: list[Asked] = []
        ranks: list[NDArray[np.int32]] = []
        repeats: list[NDArray[np.bool_]] = []
        progress.start(phase, self._total(), "events")
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for part in self._parts():
                asked.append(part)
                repeats.append(self._past.repeats(part.users, part.positions, part.targets))
                ranks.append(self._rank(part, pool))
                progress.advance(len(part))
        progress.finish()
        return Ranked(
            users=_joined([part.users for part in asked], np.int32),
            targets=_joined([part.targets for part in asked], np.int32),
            times_s=_joined([part.times_s for part in asked], np.int64),
            repeats=_joined(repeats, np.bool_),
            ranks=np.concatenate([np.zeros((len(self._counts), 0), np.int32), *ranks], axis=1),
            recommended=self._recommended,
            wall_s=time.perf_counter() - begun_s,
        )

    def _total(self) -> int:
        """How many events will be asked about."""
        return min(self._all(), self._ranking.limit or self._all())

    def _all(self) -> int:
        """How many events could be asked about."""
        lengths = np.diff(self._past.own.offsets)[self._wanted]
        return int(lengths.sum()) if self._ranking.protocol == "time" else lengths.size

    def _parts(self) -> Iterator[Asked]:
        """The questions, few enough at once, with the counts at each one's scene."""
        step = max(1, min(_ASKED_AT_ONCE, _SCORES_AT_ONCE // self._rows))
        passed = 0
        for scene in self._scenes():
            for counts in self._counts:
                counts.feed(scene.items, scene.times_s)
            asked = scene.asked.those(self._spread(passed, len(scene.asked)))
            passed += len(scene.asked)
            for start in range(0, len(asked), step):
                yield asked.part(start, start + step)

    def _spread(self, passed: int, count: int) -> NDArray[np.bool_]:
        """Which of the next `count` questions are asked, after `passed` others: evenly, as many in all as wanted."""
        numbers = np.arange(passed, passed + count + 1, dtype=np.int64)
        reached = numbers * self._total() // max(1, self._all())
        return np.diff(reached) > 0

    def _scenes(self) -> Iterator[Scene]:
        version, split, counting = self._version, self._ranking.split, bool(self._windows)
        if self._ranking.protocol == "leave-one-out":
            return last_targets(version, split, self._wanted, counting=counting)
        endless = not counting or None in self._windows
        window_s = None if endless else max(window or 0 for window in self._windows)
        return targets_in_time(version, split, self._wanted, window_s=window_s, counting=counting)

    def _rank(self, part: Asked, pool: ThreadPoolExecutor) -> NDArray[np.int32]:
        """(priors, n)."""
        scores = self._scores(part)
        if self._negatives is not None:
            drawn = self._negatives.of(part.users)
            now_s = int(part.times_s[0])  # the clock stands still
            return np.stack([counts.rank_among(scores, part.targets, drawn, now_s) for counts in self._counts])
        if self._ranking.exclude_seen:
            self._past.exclude(part.users, part.positions, scores)

        def ranked(counts: LiveCounts) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
            first = counts is self._counts[0]
            return counts.rank(scores, part.targets, part.places, part.times_s, self._k if first else 0)

        results = [*pool.map(ranked, self._counts)]
        best = results[0][1]
        self._recommended += np.bincount(best[best > 0], minlength=self._rows)
        return np.stack([ranks for ranks, _ in results])

    def _scores(self, part: Asked) -> NDArray[np.float32]:
        """(n, items + 1), the cold among them blended."""
        limit = getattr(self._model, "history_limit", None)
        scores = self._model.scores(self._past.before(part.users, part.positions, limit))
        scores = np.require(_fitted_columns(scores, self._rows), np.float32, ["C", "W"])
        if not blend_cold(scores, self._known):
            raise ModelDamagedError(
                f"{self._model.name}: gives scores that are not finite; it has diverged, train it again with a lower "
                "learning rate"
            )
        return scores


def _fitted(known: NDArray[np.bool_], rows: int) -> NDArray[np.bool_]:
    """The model's known items by the version's ids; the version may have more items than the model, or fewer."""
    fitted = np.zeros(rows, np.bool_)
    fitted[: known.size] = known[:rows]
    return fitted


def _fitted_columns(scores: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    if scores.shape[1] == rows:
        return scores
    fitted = np.full((scores.shape[0], rows), -np.inf, np.float32)
    fitted[:, : scores.shape[1]] = scores[:, :rows]
    return fitted


def _joined(parts: Sequence[NDArray[_Scalar]], kind: type[_Scalar]) -> NDArray[_Scalar]:
    return np.concatenate([np.zeros(0, kind), *parts])
