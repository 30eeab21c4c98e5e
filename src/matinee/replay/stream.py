"""The events of a replay, read from the version once: dense ids to measure with, raw ids to speak to a server with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from matinee.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.replay.plan import Plan
    from matinee.version import Version

__all__ = ["Stream", "read_stream"]


@dataclass(frozen=True)
class Stream:
    """n events in order of time; the place of an event here is its number towards servers.

    Attributes:
        users, items: (n,) int32 dense ids.
        times_s: (n,) int64 Unix seconds.
        raw_users, raw_items: (n,) as they go over the wire, int or str.
        warm_users, warm_items: (n,) bool, whether training has seen them.
        asked_from: events before this place are told in advance and not asked about (see `Plan.since_s`).
        ratings: (n,) float64, NaN where there is none; None where nobody rated.
    """

    users: NDArray[np.int32] = field(repr=False)
    items: NDArray[np.int32] = field(repr=False)
    times_s: NDArray[np.int64] = field(repr=False)
    raw_users: list[int | str] = field(repr=False)
    raw_items: list[int | str] = field(repr=False)
    warm_users: NDArray[np.bool_] = field(repr=False)
    warm_items: NDArray[np.bool_] = field(repr=False)
    asked_from: int = 0
    ratings: NDArray[np.float64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """How many events."""
        return self.users.size

    @property
    def asked(self) -> int:
        """How many of them are asked about."""
        return len(self) - self.asked_from


def read_stream(version: Version, plan: Plan) -> Stream:
    """The events that `plan` takes from its split, in memory.

    Raises:
        UsageError: there is none to ask about.
        VersionDamagedError: the version cannot be read.
    """
    batches = [*version.events(plan.split)]
    users, items, times_s = (
        np.concatenate([np.zeros(0, kind), *(batch[column] for batch in batches)])
        for column, kind in enumerate((np.int32, np.int32, np.int64))
    )
    wanted = _drawn(version, plan)[users]
    if plan.until_s is not None:
        wanted &= times_s < plan.until_s
    places = np.flatnonzero(wanted)
    asked_from = 0 if plan.since_s is None else int(np.searchsorted(times_s[places], plan.since_s))
    if plan.limit is not None:
        places = places[: asked_from + plan.limit]
    if places.size == asked_from:
        raise UsageError(f"{version.name} {version.id}: no event of {plan.split} is asked about; {_span(times_s)}")
    users, items, times_s, ratings = users[places], items[places], times_s[places], version.ratings(plan.split)[places]
    return Stream(
        users=users,
        items=items,
        times_s=times_s,
        raw_users=_raw(version.raw_users, users),
        raw_items=_raw(version.raw_items, items),
        warm_users=version.known_users[users],
        warm_items=version.known_items[items],
        asked_from=asked_from,
        ratings=None if np.isnan(ratings).all() else ratings,
    )


def _raw(ids: NDArray[Any], dense: NDArray[np.int32]) -> list[int | str]:
    """The raw id of each dense id, (n,); the same ones are one object, or each event would have two of its own."""
    raw: list[int | str] = ids.astype(object)[dense - 1].tolist()
    return raw


def _drawn(version: Version, plan: Plan) -> NDArray[np.bool_]:
    """Whose events are played, by dense id; the draw is that of `matinee evaluate --users`."""
    wanted = np.diff(version.sequences(plan.split).offsets) > 0
    present = np.flatnonzero(wanted)
    if plan.users is not None and plan.users < present.size:
        wanted[:] = False
        wanted[np.random.default_rng(plan.seed).choice(present, plan.users, replace=False)] = True
    return wanted


def _span(times_s: NDArray[np.int64]) -> str:
    if not times_s.size:
        return "it has none"
    return f"it lasts from {times_s[0]} to {times_s[-1]} (Unix seconds); choose --from, --until and --users within"
